"""Settles hints: each object that a notification told of is read again and merged like any other.

A hint stays until the transaction that merges what was read. Read ``effects`` (what becomes of a
hint), ``settling`` (which are due, and how each kind is read), ``by_search`` (very many at once),
then ``keeping`` (bursts and passes of a process that goes on).
"""
