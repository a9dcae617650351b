"""The lab: a cluster of booted hosts on this machine.

`Lab` is what other code needs; nothing outside this package may know whether a node is a lab's, except through
the fact `simulated`.
"""

from .fault import Kind, kinds
from .lab import HostStatus, Lab, lab_names
from .state import HostState, LabSpec, Simulated

__all__ = ["HostState", "HostStatus", "Kind", "Lab", "LabSpec", "Simulated", "kinds", "lab_names"]
