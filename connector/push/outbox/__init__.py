"""The way of a wish from state to state, as SQL; asks Intercom nothing.

::

    waiting -> sending -> sent -> done
       ^          |         |
       +----------+---------+--> failed, unknown

``wish`` is a row of the outbox; ``joining`` makes one of several wishes for an object;
``identities`` finds out which object a wish means; ``claims`` takes what is due to be sent;
``results`` notes what became of it; ``store`` runs all that in few transactions.
"""

LOCK = "push"
"""The name of the lock that whoever sends what is wished of a schema holds meanwhile."""
