"""The lab's acquirer: an ISO 8583 host with a ledger and scripted faults.

It shares no code with the terminal, only the acquirer profile, which is data: messages are decoded and
encoded by pyiso8583, MACs come from the cryptography package. What both sides agree on was therefore
understood twice.
"""

from poslab.acquirer.faults import ScenarioError
from poslab.acquirer.ledger import LedgerError, dump_state
from poslab.acquirer.profile import ProfileError
from poslab.acquirer.report import batches, export
from poslab.acquirer.server import run

__all__ = ["LedgerError", "ProfileError", "ScenarioError", "batches", "dump_state", "export", "run"]
