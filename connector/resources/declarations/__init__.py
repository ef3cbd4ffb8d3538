"""One file for each family of resources that Intercom has, in the words of ``resource``.

A declaration is only values: it knows no HTTP, no SQL and nothing of its readers. Read ``tags`` for
the smallest, ``companies`` for columns and links, then ``conversations`` for all there is. Whoever
adds a resource adds a file here and a line to ``RESOURCES``.
"""
