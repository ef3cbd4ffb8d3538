"""What goes wrong, or happens meanwhile, because a test wants it; knows requests, no resource.

Read ``hooks`` for how a request is matched and for changes between requests, ``rules`` for answers
that are spoilt, ``shortage`` for lists that leave something out, then ``bulk`` for answers that are
swollen. ``control`` sets them all.
"""
