"""The process at its terminal, or without one: streams, log, signals, the parser's words.

Knows no command and prints no result. Read ``streams`` for what a machine at night leaves of
standard input and output, ``logs`` for what goes to stderr, then ``interruption`` and ``parsing``.
"""
