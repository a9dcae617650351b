"""Looking at a node is the same as looking here: the program that is sent, and what becomes of bad answers."""

import json
import os
import pwd
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.fake_transport import FakeTransport

from aiops.layers.core.command import Command
from aiops.layers.core.errors import AiopsError, FailedError, NotFoundError, UnreachableError
from aiops.layers.l0_nodes.local import LocalTransport
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l2_jobs.checkpoint.checkpoint import Level
from aiops.layers.l2_jobs.checkpoint.keeper import point, prune, set_aside
from aiops.layers.l2_jobs.checkpoint.reader import Reader
from aiops.layers.l2_jobs.checkpoint.surveyor import NodeSurveyor
from aiops.layers.l2_jobs.checkpoint.trial import judged_trial, tried
from aiops.layers.l2_jobs.job import Account

from .saves import NEW, OLD, formats, lay, reader, write_manifest

NODE = Node("gpu01", connection=Connection("local"))


@pytest.fixture
def remote() -> Reader:
    return Reader(NodeSurveyor(LocalTransport(NODE)), formats(), 0.0)


@pytest.mark.parametrize("name", ["dcp", "hf-trainer"])
def test_a_node_tells_what_this_machine_tells(name: str, remote: Reader, tmp_path: Path) -> None:
    lay(name, tmp_path)
    write_manifest(next(tmp_path.glob("*-20")), NEW, name)
    assert remote.all(str(tmp_path)) == reader().all(str(tmp_path))


def test_a_node_sets_aside_prunes_and_points(remote: Reader, tmp_path: Path) -> None:
    hand = NodeSurveyor(LocalTransport(NODE))
    lay("deepspeed-source", tmp_path / "it's; $(touch x)")
    root = next(tmp_path.iterdir())
    next(root.glob("global_step20/*model_states.pt")).write_bytes(b"")
    new, old = remote.each(str(root))
    done = set_aside(hand, new, datetime(2026, 11, 28, tzinfo=UTC))
    assert done is not None
    assert Path(done.path).is_dir()
    assert point(hand, old) == ("latest",)
    assert [one.step for one in prune(hand, [old])] == [OLD]
    assert sorted(path.name for path in root.iterdir()) == [
        "global_step20.bad-20261128T000000Z",
        "global_step20.bad-20261128T000000Z.json",
        "latest",
        "zero_to_fp32.py",
    ]
    assert [path.name for path in tmp_path.iterdir()] == [root.name], "no name of a folder is a shell's word"


def test_what_is_not_there_is_told(remote: Reader, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=f"gpu01: there is nothing at {tmp_path}/x"):
        remote.all(f"{tmp_path}/x")
    with pytest.raises(NotFoundError, match="there is nothing at"):
        reader().all(f"{tmp_path}/x")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ((0, b"garbled", b""), FailedError),
        ((0, b"[]", b""), FailedError),
        ((1, b"", b"Traceback\nMemoryError"), FailedError),
        ((127, b"", b"python3: not found"), FailedError),
    ],
)
def test_a_node_that_answers_something_else_is_told(said: tuple[int, bytes, bytes], error: type[AiopsError]) -> None:
    transport = FakeTransport(Node("gpu01"), {"python3": lambda _command: said})
    with pytest.raises(error, match="gpu01"):
        NodeSurveyor(transport).listing("/runs")


def test_a_storage_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    transport = FakeTransport(Node("gpu01"), {"python3": lambda _command: (137, b"", b"")})
    run = transport.run
    monkeypatch.setattr(transport, "run", lambda command: replace(run(command), timed_out=True))
    with pytest.raises(UnreachableError, match="its storage hangs"):
        NodeSurveyor(transport).listing("/runs")


def test_nothing_of_a_path_stands_in_argv(tmp_path: Path) -> None:
    ran: list[Command] = []

    def listen(command: Command) -> tuple[int, bytes, bytes]:
        ran.append(command)
        return 0, json.dumps({"root": "/secret", "at": 1.0, "entries": [], "unread": {}}).encode(), b""

    NodeSurveyor(FakeTransport(Node("gpu01"), {"python3": listen})).listing("/secret")
    assert all("secret" not in word for word in ran[0].argv)
    assert not ran[0].root


def test_a_job_has_its_checkpoints_looked_at_by_its_own_user() -> None:
    ran: list[Command] = []

    def listen(command: Command) -> tuple[int, bytes, bytes]:
        ran.append(command)
        return 0, json.dumps({"root": "/runs", "at": 1.0, "entries": [], "unread": {}}).encode(), b""

    NodeSurveyor(FakeTransport(Node("gpu01"), {"python3": listen}), Account("ann", 1001, 1001)).listing("/runs")
    assert ran[0].root
    assert b"def become" in (ran[0].stdin or b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_root_follows_no_link_of_a_users() -> None:
    """Below a folder that others may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as above:
        Path(above).chmod(0o755)
        secret, runs = Path(above) / "secret", Path(above) / "runs"
        secret.mkdir(mode=0o700)
        lay("torch", secret)
        runs.symlink_to(secret)
        nobody = pwd.getpwnam("nobody")
        hand = NodeSurveyor(LocalTransport(NODE), Account("nobody", nobody.pw_uid, nobody.pw_gid))
        with pytest.raises(FailedError, match="Permission denied"):
            Reader(hand, formats(), 0.0).all(str(runs))
        with pytest.raises(FailedError, match="nothing could be changed"):
            hand.change("set_aside", str(runs), ["step-1"], "bad-1", [], {})
        for path in (secret, *secret.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        assert Reader(hand, formats(), 0.0).all(str(runs))


def _python(tmp_path: Path, torch: str) -> tuple[str, ...]:
    """A Python that has a `torch` of ours."""
    (tmp_path / "torch.py").write_text(torch)
    return ("env", f"PYTHONPATH={tmp_path}", "python3")


def test_a_trial_load_is_told(remote: Reader, tmp_path: Path) -> None:
    lay("torch", tmp_path / "runs")
    seen = next(remote.each(str(tmp_path / "runs")))
    here = LocalTransport(NODE)
    good = tried(here, _python(tmp_path, "def load(*words, **named):\n    assert named['weights_only']\n"), seen)
    assert (good.level, good.state) == (Level.TRIAL, "good")
    bad = tried(here, _python(tmp_path, "def load(*words, **named):\n    raise RuntimeError('size mismatch')\n"), seen)
    assert (bad.state, bad.why) == ("bad", "step_20.pt does not load: size mismatch")
    none = tried(here, ("python3", "-S"), seen)
    assert none.state == "unknown"
    assert "cannot be tried" in (none.why or "")
    missing = tried(here, ("python-of-nobody",), seen)
    assert missing.state == "unknown"


def test_what_only_calls_could_load_is_no_flaw(remote: Reader, tmp_path: Path) -> None:
    lay("torch", tmp_path)
    seen = next(remote.each(str(tmp_path)))
    told = {"loaded": 1, "refused": ["training_args.bin"], "failed": {}}
    assert judged_trial(seen.checkpoint, told).state == "good"
