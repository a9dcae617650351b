"""Names."""

from tests.l1_cluster.health.case import Case, gone, hung, said

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.names import LOOKUP

_FOUND = "10.0.0.11       STREAM gpu01\n10.0.0.11       DGRAM  \n10.0.0.11       RAW    \n"
HEALTHY = {LOOKUP: said(LOOKUP, _FOUND, seconds=0.004)}

CASES = (
    Case(
        "nobody knows the node's name",
        "net.dns",
        "warn",
        "none",
        words="nobody knows its own name",
        answers={LOOKUP: said(LOOKUP, "", 2, seconds=0.01)},
    ),
    Case(
        "a name server that is gone",
        "net.dns",
        "warn",
        "none",
        owner="fabric",
        words="was not answered within 5 s, limit 2 s",
        answers={LOOKUP: hung(LOOKUP)},
    ),
    Case(
        "a lookup that takes long",
        "net.dns",
        "warn",
        "none",
        owner="fabric",
        words="took 3.1 s, limit 2 s",
        answers={LOOKUP: said(LOOKUP, _FOUND, seconds=3.1)},
    ),
    Case(
        "there is no getent",
        "net.dns",
        "unknown",
        "none",
        words="there is no getent",
        answers={LOOKUP: said(LOOKUP, "", 127, stderr="sh: 1: exec: getent: not found\n")},
    ),
    Case("there is no shell", "net.dns", "unknown", "none", answers={LOOKUP: gone(LOOKUP, "sh")}),
    Case("getent says nothing", "net.dns", "unknown", "none", answers={LOOKUP: said(LOOKUP, "\n")}),
    Case(
        "the lookup cannot be ended",
        "net.dns",
        "unknown",
        "none",
        answers={LOOKUP: Answer(LOOKUP, missing={"argv": "it cannot be killed"}, timed_out=True, seconds=5.0)},
    ),
)
