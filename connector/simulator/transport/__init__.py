"""The ways in which requests reach a simulator; knows no resource.

``server`` listens on a socket, ``inprocess`` serves an httpx client without one, and both act out
faults of the connection. ``caller`` asks directly, for tests of the simulator itself.
"""
