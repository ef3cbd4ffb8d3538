"""Reads lists and searches page by page, also around records that Intercom cannot show.

Gives pages of records as the bytes that came, with the time at which each page was asked for;
knows no resource and no table. Read ``page`` for one page and ``styles`` for the ways in which
Intercom pages: all that a caller needs beside ``search``, the bodies of searches. ``list_pages``
and ``search_pages`` follow them to the end, ``list_gaps`` and ``search_holes`` read around what
spoils a page. ``scroll`` is the way of companies.
"""
