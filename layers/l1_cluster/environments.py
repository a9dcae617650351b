"""What the tasks of the phase `environments` are given: the programs for the head and for a node, as text."""

from typing import Any

from .bundle.environment import EnvironmentPlan
from .context import ClusterContext, NodeContext
from .script import program

ARCHIVES = "/srv/aiops/environments"
BUNDLE = "/srv/aiops/bundle"
_MODULES = ("environment_files", "environment_lock")


def programs_of(cluster: ClusterContext, node: NodeContext) -> dict[str, Any]:
    """The programs, and which node is the head; empty where the node has no environments.

    The head builds what any node wants, for whoever asks first: it is given all of it whoever that is.
    """
    mine = cluster.environments(node)
    head = cluster.head
    if not mine or head is None:
        return {}
    everything: dict[str, EnvironmentPlan] = {}
    for one in cluster.nodes:
        if one.variables.aiops_environments and one.facts is not None:
            everything.update({plan.label: plan for plan in cluster.environments(one)})
    build = [_spec(plan, wheels=True) for plan in (everything[label] for label in sorted(everything))]
    source = f"http://{head.address}:{head.variables.aiops_repository_port}/built"
    shared = node.variables.aiops_environments_folder or ""
    take = [_spec(plan) for plan in mine]
    return {
        "head": head.name,
        "build": program((*_MODULES, "environment_build"), f"build({build!r}, {BUNDLE!r}, {ARCHIVES!r})"),
        "take": program((*_MODULES, "environment_take"), f"take({take!r}, {source!r}, {ARCHIVES!r}, {shared!r})"),
    }


def _spec(plan: EnvironmentPlan, *, wheels: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": plan.name,
        "label": plan.label,
        "path": plan.path,
        "python": plan.python,
        "manifest": plan.manifest,
    }
    return found | ({"wheels": [[one.path, one.sha256] for one in plan.wheels]} if wheels else {})
