"""Speaks SQL to Postgres; knows no HTTP.

A record's way through it: ``encode`` makes COPY text of records, ``merge`` stages it, finds what
differs and writes that. ``state`` is the memory of the sync, ``privacy`` what must not be kept,
``views`` what analysts read, ``reports`` what is counted for ``status`` and ``check``. All of
them stand on ``sql`` (connections, names, types), ``schema`` (tables from the declarations) and
``values`` (what one JSON value means). ``migrate`` and ``rights`` come before everything else of
a run.
"""
