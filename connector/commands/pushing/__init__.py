"""``push``: what it is asked, how it takes its turn, what it says.

``options`` is all that the command line needs; ``push`` is the command; ``told`` what is printed of a plan and of how it ended.
"""
