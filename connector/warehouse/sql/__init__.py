"""Connections, transactions, names and types; knows no table.

Two ways lead to a statement. Those on the declared state tables are SQLAlchemy's (``sa.select``,
``insert``, ...): it knows their columns and types. All else is SQL text, made from the declarations
or written by hand, and runs by ``execute``. What DDL the migrations need is Alembic's.

Read ``database`` first: transactions with patience, and the lock of a schema. ``session`` is the
table of settings that each transaction fixes for itself, ``names`` the one place that quotes,
``execute`` the one that runs text, ``rows`` says which rows count, ``types`` what kind of value is
which SQL type.
"""
