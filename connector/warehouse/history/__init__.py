"""What was: versions of rows, for the tables of which history is kept.

``follower`` writes them in the transaction that changes rows, by the SQL of ``write``; ``kept``
knows of which tables and since when; ``steps`` turns it on and off and removes what is too old,
batch by batch; ``tables`` makes the tables. How a table of versions looks is declared in
``schema/versions``; ``privacy`` empties versions as it empties rows. Read them in that order. Knows
no HTTP, and merges nothing.
"""
