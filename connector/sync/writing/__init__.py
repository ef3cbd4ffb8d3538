"""The writing half as the loop sees it: submissions in, committed transactions out.

Never asks Intercom, and knows no way of reading. Read ``submission`` (records on their way), then
``effects`` (what commits with them, each a value), then ``writer``.
"""
