"""A faithful Intercom REST API over a generated, seeded workspace, for tests, demos and benchmarks.

Knows nothing of the connector that reads from it. Read ``simulator`` for the way of one request and
``control`` for all that a test may do; then the rooms. ``records`` is what a workspace holds,
``generation`` fills it, ``changes`` happen to it and ``webhooks`` tell of them. ``requests`` lets a
request in and finds its handler, ``api`` answers, ``search`` runs what is searched for, ``writes``
is what becomes of what is written, ``faults`` spoils answers on purpose, ``transport`` brings
requests here and notifications out. ``truth`` says what a client should have stored.
"""

from connector.simulator.control import Control
from connector.simulator.messages import Fault, Request, Response
from connector.simulator.records.workspace import Workspace
from connector.simulator.simulator import Simulator
from connector.simulator.transport.inprocess import SimulatorTransport
from connector.simulator.transport.pace import live
from connector.simulator.transport.sender import send
from connector.simulator.transport.server import run, serve

__all__ = [
    "Control",
    "Fault",
    "Request",
    "Response",
    "Simulator",
    "SimulatorTransport",
    "Workspace",
    "live",
    "run",
    "send",
    "serve",
]
