"""A faithful Intercom REST API over a generated, seeded workspace, for tests, demos and benchmarks.

Knows nothing of the connector that reads from it.
"""

from connector.simulator.control import Control
from connector.simulator.inprocess import SimulatorTransport
from connector.simulator.messages import Fault, Request, Response
from connector.simulator.server import run, serve
from connector.simulator.simulator import Simulator
from connector.simulator.workspace import Workspace

__all__ = [
    "Control",
    "Fault",
    "Request",
    "Response",
    "Simulator",
    "SimulatorTransport",
    "Workspace",
    "run",
    "serve",
]
