"""Tells how a run goes and how it ended: to whoever watches, to a URL, to a metrics file.

Knows outcomes, not how a run comes to one, and can make none fail. Read ``progress`` for the
figures and their words, ``report`` for the report and the metrics, then ``notification``, which
sends the report.
"""
