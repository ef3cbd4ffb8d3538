"""Speaks HTTP to Intercom; knows no table and no SQL.

Gives pages of records as the bytes that came, with the time at which each page was asked for. Read
``client`` for one request, ``page`` and ``paging`` for lists, then ``refusals`` for what an error
means by what was asked. ``wire`` is the only module that imports httpx.
"""
