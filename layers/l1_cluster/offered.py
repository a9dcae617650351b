"""Whether the bundle has the packages that the inventory adds: told with the plan, before anything is changed."""

from aiops.layers.core.errors import InputError, Problem
from aiops.layers.l0_nodes.nodeset import fold

from .context import ClusterContext
from .plan import Plan


def require_offered(plan: Plan, cluster: ClusterContext) -> None:
    """Refuse a plan that installs packages of `aiops_packages` or `aiops_hold` which the bundle lacks.

    Raises:
        InputError: `bundle.lacks`; each package is told with its nodes.
    """
    bundle = cluster.bundle
    if bundle is None:
        return
    contexts = {node.name: node for node in cluster.nodes}
    lacking: dict[str, set[str]] = {}
    for _, name, change in plan.changes():
        node = contexts[name]
        asked = {f"package:{package}" for package in (*node.variables.aiops_packages, *node.variables.aiops_hold)}
        if change.action != "install" or change.key not in asked or node.variables.aiops_repository != "bundle":
            continue
        if bundle.version(change.subject, node) is None:
            lacking.setdefault(change.subject, set()).add(name)
    if not lacking:
        return
    raise InputError(
        "the bundle lacks packages that the inventory asks for",
        code="bundle.lacks",
        problems=[Problem(f"package {package}, for {fold(nodes)}") for package, nodes in lacking.items()],
        hints=[
            "build it again for this inventory: `aiops cluster bundle build`",
            "or take them out of `aiops_packages` and `aiops_hold`",
        ],
    )
