"""Staged rows to rows, and what is gone; knows what a batch holds, not where it came from.

Read ``loader`` (batches in), then ``batch_merge`` (one batch on its way), which uses ``diff`` (the
one statement that finds what differs), ``content`` (what each column is to hold) and ``write``.
``stored_rows`` says what may be asked of stored rows, ``statements`` with which SQL.
``deletion_tracker`` is told what is gone; ``deletions`` decides on the candidates, and ``fuse`` how
many may be marked.
"""
