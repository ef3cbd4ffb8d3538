"""The views that analysts read; they only grow.

``definitions`` says what they are to be, ``standing`` what they are, ``live`` brings one to the
other and keeps what others gave them (``grants``). They stand in ``suites``: beside their tables,
or in a schema of their own, which ``apart`` makes where it is asked for. ``custom_columns``
decides which attribute is which column.
"""
