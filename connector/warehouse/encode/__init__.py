"""Records to COPY text, table by table; pure: imports neither sqlalchemy nor psycopg.

``encoder`` is the way through it; ``batch`` is what comes out. ``worker`` does the same in a
process of its own where there is much to do. ``exclusions`` is the value that says what is kept
out.
"""
