"""Connections, transactions, names and types; knows no table.

Read ``database`` first: transactions with patience, and the lock of a schema. ``session`` is the
table of settings that each transaction fixes for itself, ``names`` the one place that quotes,
``types`` what kind of value is which SQL type.
"""
