"""A node that is slow beside its equals."""

from tests.l1_cluster.health.case import Case, read, said

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.pace import ASKS

_LOCKS = "1: FLOCK  ADVISORY  WRITE 812 00:1a:1042 0 EOF\n"


def answers(seconds: float, **other: float) -> dict[str, Answer]:
    """The answers, each after `seconds`; some after another time, by ask."""
    kernel = {
        "/proc/sys/kernel/hostname": "gpu01\n",
        "/proc/sys/kernel/osrelease": "6.1.0-28-amd64\n",
        "/proc/sys/kernel/random/boot_id": "9a3c0b0e-1111-4222-8333-444455556666\n",
    }
    told = {
        "os.kernel": said("os.kernel", "6.1.0-28-amd64 x86_64\n", files=kernel),
        "os.virtualization": said("os.virtualization", "none\n", 1),
        "cpu.topology": said("cpu.topology", "# CPU,CORE,SOCKET\n0,0,0\n1,1,0\n"),
        "packages.lock": said("packages.lock", "262\n263\n", files=read("", {"/proc/locks": _LOCKS}).files),
    }
    return {name: _after(one, other.get(name.replace(".", "_"), seconds)) for name, one in told.items()}


def _after(answer: Answer, seconds: float) -> Answer:
    return Answer(answer.name, answer.exit_status, stdout=answer.stdout, files=answer.files, seconds=seconds)


HEALTHY = answers(0.012)
assert set(HEALTHY) == {ask.name for ask in ASKS}

CASES = (
    Case(
        "a node that crawls",
        "node.slow",
        "warn",
        "none",
        words="it takes 3.6 s for what nodes like it do in 0.05 s, limit 5 times as long",
        answers=answers(0.9),
        unlike_peers=True,
    ),
)
