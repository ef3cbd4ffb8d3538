"""The process at its terminal, or without one: streams, log, signals, the parser's words.

Knows no command and prints no result of its own. Read ``streams`` for what a machine at night
leaves of standard input and output, ``logs`` for what goes to stderr, ``screen`` and ``grids`` for
what is drawn where somebody looks, then ``interruption`` and ``parsing``.
"""
