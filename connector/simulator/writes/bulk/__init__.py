"""Bulk jobs: what they look like, when their tasks start and end, and what their items do.

Read ``jobs`` for the shapes, ``queue`` for their times, ``items`` for what is in a request and how
each kind of item is carried out.
"""
