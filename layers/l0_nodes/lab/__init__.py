"""The lab: a cluster of booted hosts on this machine.

`Lab` is what other code needs; nothing outside this package may know whether a node is a lab's, except through
the fact `simulated`.
"""

from .fault import Kind, kinds
from .lab import HostStatus, Lab, lab_names
from .recipe import DEFAULT_RELEASE, RELEASES
from .specification import LabSpec, Simulated, WorkerGroup
from .state import HostState

__all__ = [
    "DEFAULT_RELEASE",
    "RELEASES",
    "HostState",
    "HostStatus",
    "Kind",
    "Lab",
    "LabSpec",
    "Simulated",
    "WorkerGroup",
    "kinds",
    "lab_names",
]
