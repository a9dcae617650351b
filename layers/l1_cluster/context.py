"""What a phase's templates see: `node` and `cluster`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.variables import NodeVariables, variables_of

from .bundle.environment import EnvironmentPlan
from .bundle.offer import NotOfferedError, Offer, PairMember, pair_of_sources
from .hosts_file import foreign_lines, full_name


@dataclass(frozen=True, slots=True)
class NodeContext:
    """`node` in a template.

    Attributes:
        address: The node's address inside the cluster: `aiops_address`, else the one aiops connects to.
        facts: What the last probe said; None for a node that has never answered.
    """

    name: str
    address: str
    roles: frozenset[str]
    groups: tuple[str, ...]
    variables: NodeVariables = field(hash=False)
    facts: Facts | None = field(default=None, hash=False)

    def has(self, vendor: str) -> bool:
        """Whether the node's bus shows devices of an accelerator vendor, driver or not."""
        shown = self.facts.bus_accelerators if self.facts is not None else None
        return any(one.vendor == vendor for one in shown or ())


@dataclass(frozen=True)  # without slots: what all nodes' templates ask of the cluster is worked out once
class ClusterContext:
    """`cluster` in a template.

    Attributes:
        bundle: The bundle that nodes install from; None where all have `aiops_repository: system`.
    """

    name: str
    nodes: tuple[NodeContext, ...]
    bundle: Offer | None = None

    @cached_property
    def head(self) -> NodeContext | None:
        """The head, or None where the inventory has none."""
        return next(iter(self.role("head")), None)

    @cached_property
    def names(self) -> frozenset[str]:
        """What the nodes are called, by the inventory and by themselves."""
        own = {node.facts.hostname for node in self.nodes if node.facts is not None and node.facts.hostname}
        return frozenset(own | {node.name for node in self.nodes})

    @cached_property
    def hosts_lines(self) -> str:
        """The lines of /etc/hosts for the nodes, each ended; a node whose address is a name has none."""
        lines = []
        for node in self.nodes:
            if node.address.replace(".", "").isdigit() or ":" in node.address:
                hostname, hosts = (node.facts.hostname, node.facts.hosts) if node.facts else (None, None)
                full = full_name(hostname or node.name, hosts or "")
                words: dict[str, str] = {}  # names do not differ by case
                for word in (node.address, full, full.split(".")[0], node.name):
                    words.setdefault(word.lower(), word)
                lines.append(" ".join(words.values()) + "\n")
        return "".join(lines)

    def foreign_hosts(self, text: str) -> tuple[str, ...]:
        """The lines of a node's /etc/hosts that are neither ours nor about a node of the cluster."""
        return foreign_lines(text, self.names)

    def role(self, name: str) -> tuple[NodeContext, ...]:
        """The nodes that play the role `name`, in the inventory's order."""
        return self._by_role.get(name, ())

    def driver(self, names: Sequence[str], node: NodeContext) -> tuple[PairMember, ...]:
        """The packages of a driver for a node, all of one version: `aiops_driver_version`, else the bundle's newest.

        Args:
            names: `#` in them stands for the driver's branch (`580` of `580.95.05`).
            node: For which node.

        Raises:
            NotOfferedError: The repository has no version of which all packages are there, or which one is wanted of
                the node's own sources is not said.
        """
        wanted = node.variables.aiops_driver_version
        if self.bundle is not None and node.variables.aiops_repository == "bundle":
            return self.bundle.pair(names, node, wanted)
        return pair_of_sources(names, wanted)

    def environments(self, node: NodeContext) -> tuple[EnvironmentPlan, ...]:
        """What is built for a node of the environments that `aiops_environments` names for it.

        Raises:
            NotOfferedError: There is no bundle, or it lacks one.
        """
        names = tuple(dict.fromkeys(node.variables.aiops_environments))
        if names and self.bundle is None:
            raise NotOfferedError(
                "environments are made of the wheels of a bundle that the head serves, and there is none: say"
                " `aiops_repository: bundle`, for the head at least"
            )
        return tuple(self._environment(name, node) for name in names)

    def _environment(self, name: str, node: NodeContext) -> EnvironmentPlan:
        facts, file = node.facts, node.variables.aiops_environment_locks.get(name, "")
        key = (name, file, facts.os_codename if facts else None, facts.architecture if facts else None)
        if key not in self._environments and self.bundle is not None:
            self._environments[key] = self.bundle.environment(name, node, file)
        return self._environments[key]

    @cached_property
    def _environments(self) -> dict[tuple[str, str, str | None, str | None], EnvironmentPlan]:
        return {}

    def node(self, name: str) -> NodeContext:
        """The node called `name`, which is one of the inventory's."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> Mapping[str, NodeContext]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _by_role(self) -> Mapping[str, tuple[NodeContext, ...]]:
        roles = sorted({role for node in self.nodes for role in node.roles})
        return {role: tuple(node for node in self.nodes if role in node.roles) for role in roles}


def cluster_context(inventory: Inventory, facts: Mapping[str, Facts], bundle: Offer | None = None) -> ClusterContext:
    """The context of a whole cluster, from its inventory, the facts by node and the opened bundle."""
    nodes = []
    for node in inventory.nodes:
        variables = variables_of(node)
        nodes.append(
            NodeContext(
                name=node.name,
                address=variables.aiops_address or node.connection.address or node.name,
                roles=node.roles,
                groups=node.groups,
                variables=variables,
                facts=facts.get(node.name),
            )
        )
    return ClusterContext(inventory.cluster, tuple(nodes), bundle)
