"""The ways in which requests reach a simulator; knows no resource.

``server`` listens on a socket, ``inprocess`` serves an httpx client without one, and both act out
faults of the connection. ``caller`` asks directly, for tests of the simulator itself. ``sender`` is
the other way round: it posts notifications to a listener. ``pace`` lets the workspace live on.
"""
