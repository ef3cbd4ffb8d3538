"""Compares a model with the mirror and puts the differences into the outbox, all of it in SQL.

``make``, in ``plan``, does it in one transaction. Its steps, in the order of reading: ``model``
copies the rows into a temporary table and refuses what cannot be sent, ``match`` finds the objects
in the mirror, ``own`` what was sent to them and is not mirrored yet, ``lists`` and ``compare`` what
differs, ``write`` fills the outbox; ``events`` are another matter. ``values`` says how values of
each type are read and compared, ``digest`` what is kept of a value that was pushed. Rows stay in
Postgres: Python sees counts and samples. ``preview`` puts a plan into words.
"""

from connector.push.planning.asked import Asked, Plan, Sample
from connector.push.planning.plan import make

__all__ = ["Asked", "Plan", "Sample", "make"]
