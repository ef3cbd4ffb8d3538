"""Writes to Intercom what the outbox wishes, and fills the outbox from models.

Stands beside ``sync``, above ``intercom`` and ``warehouse``; writes no mirrored row. Read ``kinds``
first: what can be written, declared. ``planning`` compares a model with the mirror and puts the
differences into the outbox; ``outbox`` is the way of a wish from state to state, as SQL;
``sending`` sends, follows jobs, reads back. The promise: intent is committed before a request
leaves, every wish ends done, or failed or unknown with a reason, and nothing is created twice.
"""
