"""aiops' own jobs on nodes of the engine `ssh`: what runs on a node, and that a node which is held gets none.

What runs there the node itself tells, by its units; that it is held is a file on it, which its agent heeds. So it is
told alike from every machine, also while no controller runs, and holds over a reboot.
"""

from collections.abc import Mapping, Sequence

from aiops.layers.core.command import Command
from aiops.layers.core.errors import AiopsError, ConflictError, FailedError
from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l1_cluster.draining import PREFIX, Standing, Workload
from aiops.layers.l1_cluster.gate import STALE, fenced
from aiops.layers.l1_cluster.remote.fence import STALE_STATUS
from aiops.layers.l2_jobs.remote.agent import HOLD

_SECONDS = 30.0
_UNIT = "aiops-job-"
_SHOW = f"""
printf 'boot %s\\n' "$(cat /proc/sys/kernel/random/boot_id)"
printf 'hold %s\\n' "$(head -n 1 {HOLD} 2>/dev/null)"
systemctl list-units '{_UNIT}*' --state=active,activating,deactivating --no-legend --plain
"""
_DRAIN = f"""
case "$(head -n 1 {HOLD} 2>/dev/null)" in ''|{PREFIX}*) ;; *) exit 0 ;; esac
umask 077
printf '%s\\n' "$1" > {HOLD}.new && sync {HOLD}.new && mv {HOLD}.new {HOLD}
"""
_RESUME = f"""
case "$(head -n 1 {HOLD} 2>/dev/null)" in {PREFIX}*) rm -f {HOLD} ;; esac
"""


class Jobs:
    """The engine `ssh`, as `aiops.layers.l1_cluster.draining.Workload` asks it to be."""

    name = "aiops jobs"

    def __init__(self, nodes: Sequence[Node], fleet: Fleet) -> None:
        """Connect to nobody yet.

        Args:
            nodes: Those of the engine.
            fleet: Reaches them.
        """
        self._names = frozenset(node.name for node in nodes)
        self._fleet = fleet

    def standings(self, nodes: Sequence[Node]) -> Mapping[str, Standing]:
        """Where those of `nodes` stand that are the engine's; one that does not answer is unknown."""
        found = {}
        for outcome in self._fleet.each(self._ours(nodes), _shown):
            error = outcome.error
            found[outcome.node.name] = outcome.value or Standing("unknown", error.message if error else "")
        return found

    def drain(self, nodes: Sequence[Node], reason: str, epoch: int) -> None:
        """Have agents start nothing more on `nodes`; one that somebody else holds stays as it is."""
        self._act(nodes, Command(("sh", "-c", _DRAIN, "sh", " ".join(reason.split())), timeout=_SECONDS), epoch)

    def resume(self, nodes: Sequence[Node], epoch: int) -> None:
        """Have agents start jobs again on those of `nodes` that we hold."""
        self._act(nodes, Command(("sh", "-c", _RESUME), timeout=_SECONDS), epoch)

    def _ours(self, nodes: Sequence[Node]) -> list[Node]:
        return [node for node in nodes if node.name in self._names]

    def _act(self, nodes: Sequence[Node], command: Command, epoch: int) -> None:
        """Run what changes something on all, behind each node's fence.

        Raises:
            ConflictError: The cluster lock is another's by now.
            UnreachableError: A node does not answer.
            FailedError: A node refuses.
        """

        def act(transport: Transport) -> None:
            node = transport.node
            done = transport.run(fenced(node, epoch, command))
            if done.exit_status == STALE_STATUS:
                raise ConflictError(f"{node.name}: {done.error_text}", code=STALE)
            if not done.ok:
                raise _failure(node, done.error_text or "no answer in time")

        errors = [one.error for one in self._fleet.each(self._ours(nodes), act) if one.error is not None]
        stale: list[AiopsError] = [one for one in errors if one.code == STALE]
        for error in (*stale, *errors):
            raise error


def _shown(transport: Transport) -> Standing:
    done = transport.run(Command(("sh", "-c", _SHOW), timeout=_SECONDS, root=True))
    if not done.ok:
        raise _failure(transport.node, done.error_text or "no answer in time")
    return standing_of(done.text)


def standing_of(text: str) -> Standing:
    """Where a node stands, by what it has shown. Pure."""
    boot, hold, work = None, "", []
    for line in text.splitlines():
        head, _, rest = line.partition(" ")
        if head == "boot":
            boot = rest.strip() or None
        elif head == "hold":
            hold = rest.strip()
        elif head.startswith(_UNIT):
            work.append(f"job {head.removeprefix(_UNIT).removesuffix('.service').rpartition('.')[0]}")
    if not hold:
        return Standing("in_service", "", tuple(work), boot)
    return Standing("draining" if work else "drained", hold, tuple(work), boot)


def _failure(node: Node, said: str) -> FailedError:
    reason = (said.strip().splitlines() or ["no reason was given"])[-1]
    return FailedError(
        f"{node.name} does not tell of its jobs: {reason}",
        code="jobs.silent",
        hints=[f"look there: `aiops node exec --on {node.name} -- systemctl list-units 'aiops-job-*'`"],
    )


@hookimpl
def workload(inventory: Inventory, fleet: Fleet) -> Workload | None:
    """The nodes that the inventory gives to the engine `ssh`; None where it gives it none."""
    nodes = [node for node in inventory.nodes if node.aiops.get("aiops_engine") == "ssh"]
    return Jobs(nodes, fleet) if nodes else None
