"""A file that is garbage, or that cannot be read, makes something unknown at most, and never a fault."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.l1_cluster.health.cases import ethernet as eth_cases
from tests.l1_cluster.health.cases import link_errors as error_cases
from tests.l1_cluster.health.cases import rdma as rdma_cases
from tests.l1_cluster.health.network import found, node, samples

from aiops.layers.l1_cluster.health.past import Past

_WHOLE = {
    name: answer
    for module in (rdma_cases, error_cases, eth_cases)
    for name, answer in module.HEALTHY.items()
    if answer.files
}
_PLACES = [(name, path) for name, answer in _WHOLE.items() for path in answer.files]
_KNOWN = Past(
    {rdma_cases.memory(rail): samples((1, 400_000)) for rail in rdma_cases.RAILS} | {"rdma.ports": samples((1, 9))}
)
_WANTED = {
    "aiops_expect": {"nics": [{"count": 8, "kind": "infiniband", "speed_gbit": 400}, {"count": 1, "name": "eth*"}]}
}


@settings(deadline=None, max_examples=400)
@given(
    place=st.sampled_from(_PLACES),
    text=st.text(st.characters(exclude_categories=["Nd"]), max_size=30) | st.none(),
    reason=st.sampled_from(["Input/output error", "Connection timed out", "No such device"]),
)
def test_garbage_in_one_file_is_never_a_fault(place: tuple[str, str], text: str | None, reason: str) -> None:
    name, path = place
    files = {one: content for one, content in _WHOLE[name].files.items() if one != path}
    missing = dict(_WHOLE[name].missing)
    if text is None:
        missing[path] = reason
    else:
        files[path] = text
    findings = found(node({name: replace(_WHOLE[name], files=files, missing=missing)}, past=_KNOWN, variables=_WANTED))
    assert {one.verdict for one in findings} <= {"unknown"}, [one.document() for one in findings]
