"""Speaks HTTP to Intercom; knows no table and no SQL.

Gives replies as the bytes that came. Read ``client`` for one request, then what it rests on:
``transport`` sends and alone imports httpx, ``responses`` says what a reply means, ``retry``,
``budget`` and ``memory`` when the next may leave, ``clock`` what Intercom's time is. ``refusals``
says what an error means by what was asked for. ``paging`` reads lists and searches.
"""
