"""Staged rows to rows, and what is gone; knows what a batch holds, not where it came from.

Read ``loader`` (what may be asked and written), then ``batch_merge`` (one batch on its way), which
uses ``staging``, ``diff`` (the one statement that finds what differs) and ``write``. ``deletions``
decides which rows are marked deleted, ``fuse`` how many may be.
"""
