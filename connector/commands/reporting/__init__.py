"""Tells how a run goes and how it ended: to whoever watches, to a URL, to a metrics file.

Knows outcomes, not how a run comes to one, and can make none fail. Read ``progress`` for how a run
goes, ``going`` and ``display`` for its figures on a terminal, ``outcomes`` for how it ended and in
which words, ``report`` for the report and the metrics, then ``notification``, which sends it.
"""
