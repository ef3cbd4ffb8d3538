"""What a workspace holds, and how its larger records are built; knows no request and no search.

Read ``shelf`` first, which keeps the records of one kind as they are and as the lagging index
shows them, then ``workspace``, which is all shelves together. ``contact``, ``thread`` and
``ticket`` build the records that are more than a few fields; ``journal`` remembers when lists
show a change.
"""
