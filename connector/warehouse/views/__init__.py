"""The views that analysts read; they only grow.

``definitions`` says what they are to be, ``standing`` what they are, ``live`` brings one to the
other and keeps what others gave them (``grants``). ``custom_columns`` decides which attribute is
which column.
"""
