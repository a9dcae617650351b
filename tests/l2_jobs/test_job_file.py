"""job.yml: the canonical file, every mistake with its line, overrides, and what a Job is made of."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.core.places import Override
from aiops.layers.l2_jobs.job import Account, CheckpointPlan, Devices, Job, ProgressPlan, Service, Span
from aiops.layers.l2_jobs.job_document import JobDocument, schema_text
from aiops.layers.l2_jobs.job_file import compile_job, load_job_file, read_job_file
from aiops.layers.l2_jobs.job_override import overrides_of

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
ANN = Account("ann", 1001, 1001)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEAST = "aiops: 1\nname: a\ncommand: python train.py\n"


def job(text: str, *overrides: Override) -> Job:
    return compile_job(read_job_file(text, "job.yml", folder="/home/ann", overrides=overrides), ANN, 7, NOW)


def mistakes(text: str, *overrides: Override) -> list[tuple[str, str, str | None]]:
    with pytest.raises(InputError) as caught:
        read_job_file(text, "job.yml", folder="/home/ann", overrides=overrides)
    assert caught.value.code == "job.wrong"
    return [(one.where, one.message, one.hint) for one in caught.value.problems]


def test_the_canonical_file_says_every_key() -> None:
    text = (REFERENCE / "job.yml").read_text()
    read = load_job_file(REFERENCE / "job.yml")
    assert set(JobDocument.model_fields) - set(read.places.plain()) == {"service"}
    found = compile_job(read, ANN, 7, NOW)
    assert (found.id, found.owner, found.submitted, found.source) == ("llama-sft-7", ANN, NOW, text)
    assert found.command == ("torchrun", "train.py", "--config", "sft.yaml")
    assert found.nodes == Span(2, 4, tuple(f"gpu{number:02}" for number in range(1, 9)))
    assert found.devices == Devices(8, None, "nvidia")
    assert found.checkpoint == CheckpointPlan("/shared/runs/llama-sft", "hf-trainer", 500, 2)
    assert found.progress == ProgressPlan(r"step (?P<step>\d+).*loss (?P<loss>[\d.]+)")
    assert found.limits.time == 7 * 86_400
    assert (found.limits.hang, found.limits.memory, found.limits.stop) == (None, 512 * 2**30, 120)
    assert found.restarts.budget["node"] == 20
    assert found.environment == {"NCCL_DEBUG": "WARN", "OMP_NUM_THREADS": "8"}


def test_the_service_of_the_canonical_file() -> None:
    """What stands there behind `#` is a service once the marks are taken off."""
    text = (REFERENCE / "job.yml").read_text()
    _, _, commented = text.partition("# Only of `kind: service`:\n#\n")
    said = "\n".join(line.removeprefix("# ") for line in commented.splitlines())
    found = job(text.replace("kind: batch", "kind: service") + said)
    assert found.service == Service(("http",), "http:http/health", 600)


def test_the_least_that_a_file_may_say() -> None:
    found = job(LEAST)
    assert found.nodes == Span(1, 1)
    assert (found.launch, found.processes, found.folder, found.engine) == ("command", 1, "/home/ann", None)
    assert (found.devices, found.checkpoint, found.service, found.priority) == (Devices(), None, None, 50)


@pytest.mark.parametrize(
    ("command", "launch", "engine"),
    [
        ("torchrun a.py", "torchrun", None),
        ("/opt/env/bin/torchrun a.py", "torchrun", None),
        ("srun a", "srun", "slurm"),
    ],
)
def test_the_launch_is_what_the_command_begins_with(command: str, launch: str, engine: str | None) -> None:
    found = job(LEAST.replace("python train.py", command) + "devices: 4\n")
    assert (found.launch, found.engine) == (launch, engine)
    assert found.processes == (4 if launch == "torchrun" else 1)


def test_values_are_as_they_are_written() -> None:
    text = "aiops: 1\nname: on\ncommand: [python, 010, 1e-4, yes]\nenv: {A: 0644, B: yes, C: 1:30, D: 1_000}\n"
    found = job(text)
    assert found.name == "on"
    assert found.command == ("python", "010", "1e-4", "yes")
    assert found.environment == {"A": "0644", "B": "yes", "C": "1:30", "D": "1_000"}


def test_all_mistakes_are_told_at_once_with_lines() -> None:
    text = """aiops: 1
name: Llama
kind: btch
comand: x
nodes:
  min: 4
  max: 2
  hots: 3
gpus: 3
hang: 7d
limits:
  time: 7
  hang: x
checkpoint: {format: auto}
progress: {regex: "step"}
service: {ports: [a, a], ready: "http:b/x"}
"""
    assert mistakes(text) == [
        ("job.yml:1", "`command` is missing", None),
        (
            "job.yml:2",
            "`name` must be lower-case letters, digits and `-`, a letter first, at most 40, is 'Llama'",
            None,
        ),
        ("job.yml:3", "`kind` must be batch or service, is 'btch'", "did you mean `batch`?"),
        ("job.yml:4", "unknown key `comand`", "did you mean `command`?"),
        ("job.yml:8", "unknown key `hots` in `nodes`", "known are min, max, only"),
        ("job.yml:9", "unknown key `gpus`", "did you mean `devices`?"),
        ("job.yml:10", "unknown key `hang`", "did you mean `limits.hang`?"),
        ("job.yml:12", "`limits.time` needs a unit, is 7", "for example `30m`"),
        ("job.yml:13", "`limits.hang` is `x`; a span of time is written like 90s, 30m, 1h30m or 7d", None),
        ("job.yml:14", "`checkpoint.path` is missing", "for example `path: /shared/runs/a`"),
        (
            "job.yml:15",
            "`progress.regex` has no group `step`",
            r"for example `step (?P<step>\d+).*loss (?P<loss>[\d.]+)`",
        ),
    ]


@pytest.mark.parametrize(
    ("lines", "message", "hint"),
    [
        ("nodes: {min: 4, max: 2}", "`nodes.max` is 2, less than `nodes.min`, 4", ""),
        ("nodes: {min: 3, only: 'gpu[1-2]'}", "`nodes.only` names 2 of the 3 nodes that `nodes.min` asks for", "to 2"),
        ("nodes: {only: 'gpu[1-'}", "`nodes.only` is no node set", "gpu[01-04]"),
        ("devices: {share: 0.5, count: 2}", "`devices.share` is a part of one accelerator", "leave one"),
        ("devices: {share: 1.5}", "`devices.share` must be more than 0 and less than 1, is 1.5", "50%"),
        ("devices: {vendor: amd}", "`devices.vendor` is said, and no devices", "count"),
        ("launch: torchrun", "`command` begins with `python`", "launch: command"),
        ("launch: srun\nengine: ssh", "`launch: srun` needs Slurm", "engine: slurm"),
        ("processes: 2", "`processes` is 2, and `launch: command` starts one", "torchrun"),
        ("env: {CUDA_VISIBLE_DEVICES: 0}", "`env.CUDA_VISIBLE_DEVICES`", "devices:"),
        ("env: {MASTER_PORT: 1}", "`env.MASTER_PORT` is set by", "leave it out"),
        ("env: {AIOPS_JOB: x}", "`env.AIOPS_JOB` is set by", "leave it out"),
        ("env: {'a b': x}", "`env.a b` is no name", ""),
        ("env: {A: }", "`env.A` must be text", ""),
        ("env: {A: [1]}", "`env.A` must be text", ""),
        ("image: 'a b'", "`image` is no image", "podman://"),
        ("image: pyxis://a/b", "`image` is of pyxis, and `launch` is `command`", "enroot or podman"),
        ("launch: srun\nimage: podman://a/b", "`image` is of podman, and `launch` is `srun`", "`pyxis://IMAGE`"),
        ("image: --privileged", "`image` is no image", "podman://"),
        ("limits: {time: 20s}", "`limits.stop` leaves nothing", ""),
        ("service: {}", "`service` is said, and `kind` is `batch`", "kind: service"),
        ("kind: service\nservice: {ports: [a, a]}", "`service.ports` has `a` twice", ""),
        ("kind: service\nservice: {ports: [http], ready: 'http:htp/x'}", "asks the port `htp`", "`http`"),
        ("kind: service\nservice: {ready: 'http:x'}", "no command and no address", "http:http/health"),
        ("limits: {memory: 64g}", "`limits.memory` is `64g`; memory is written like 64 GiB", ""),
        ("priority: 101", "`priority` must be at most 100, is 101", ""),
        ("priority: high", "`priority` must be a whole number, is 'high'", ""),
        ("checkpoint: {path: runs}", "`checkpoint.path` must be a path that begins with /", ""),
        ("checkpoint: {path: /a, keep: 1}", "`checkpoint.keep` must be at least 2, is 1", ""),
        ("checkpoint: []", "`checkpoint` must be a mapping of path", ""),
        ("nodes: 0", "`nodes.min` must be at least 1, is 0", ""),
        ("environment: {A: 1}", "`environment` is the name of an environment", "`env:`"),
        ("working_dir: /a", "unknown key `working_dir`", "`folder`"),
        ("zzz: 1", "unknown key `zzz`", "known are aiops, name"),
        ("name: b", "`name` is written twice", ""),
    ],
)
def test_a_mistake_says_what_would_fit(lines: str, message: str, hint: str) -> None:
    (where, said, fits), *_ = mistakes(LEAST + lines)
    assert where.startswith("job.yml:")
    assert int(where.partition(":")[2]) >= 3
    assert message in said
    assert hint in (fits or "")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("python a.py | tee log", "`command` has `|`"),
        ("python a.py > log", "`command` has `>`"),
        ("python a.py 2>&1", "`command` has `2>&1`"),
        ("python a.py --to $HOME/x", "`command` has `$HOME/x`"),
        ("python a.py; ls", "`command` has `a.py;`"),
        ("A=1 python a.py", "`command` begins with `A=1`"),
        ("python 'a", "`command` cannot be split into words"),
        ("''", "`command` is empty"),
        ("[]", "`command` is empty"),
        ("torchrun --nnodes=2 a.py", "`command` has `--nnodes=2`"),
        ("torchrun --nproc_per_node 2 a.py", "`command` has `--nproc_per_node`"),
        ("torchrun --role x --rdzv-endpoint=h:1 a.py", "`command` has `--rdzv-endpoint=h:1`"),
        ("torchrun --max-restarts 3 a.py", "`command` has `--max-restarts`"),
        ("torchrun --standalone a.py", "`command` has `--standalone`"),
        ("torchrun --role a.py", "`command` names no script"),
    ],
)
def test_a_command_is_words_and_no_second_supervisor(command: str, message: str) -> None:
    ((where, said, hint),) = mistakes(LEAST.replace("python train.py", command))
    assert where == "job.yml:3"
    assert message in said
    assert hint or "cannot be split" in said or "is empty" in said


@pytest.mark.parametrize(
    "command",
    [
        'bash -c "echo $HOME | tee log"',
        '[python, "a|b", ">", "$X"]',
        "torchrun --role x a.py --nnodes 2 --max-restarts 1",
        "torchrun -m pkg.train --standalone",
        "torchrun --some-new-option 3 a.py",
        "torchrun --no-python ./a",
    ],
)
def test_what_is_behind_the_script_is_the_users_own(command: str) -> None:
    assert job(LEAST.replace("python train.py", command)).command


def test_the_command_line_counts_more_and_is_named_in_mistakes() -> None:
    text = LEAST.replace("python", "torchrun") + "nodes: 8\nlimits: {time: 1h}\n"
    said = overrides_of(
        ["limits.time=2d", "env.A=5", "nodes.min=1", "devices=2"],
        nodes="2-3",
        engine="ssh",
        priority=9,
        queue="q",
        max_restarts=0,
    )
    found = job(text, *said)
    assert found.nodes == Span(2, 3)
    assert (found.limits.time, found.environment, found.devices.count) == (172_800, {"A": "5"}, 2)
    assert (found.engine, found.priority, found.queue) == ("ssh", 9, "q")
    assert set(found.restarts.budget.values()) == {0}
    assert job(text, *overrides_of(["nodes.min=2"])).nodes == Span(2, 8)
    assert mistakes(text, *overrides_of(["limits.tme=3h"], priority=200)) == [
        ("--set limits.tme=3h", "unknown key `tme` in `limits`", "did you mean `time`?"),
        ("--priority 200", "`priority` must be at most 100, is 200", None),
    ]
    assert mistakes(text, *overrides_of(["name.x=3"])) == [
        ("--set name.x=3", "`name` has no keys", "set it as a whole: `--set name=...`")
    ]
    for options in ({"sets": ["x"]}, {"sets": ["=3"]}, {"nodes": "many"}, {"nodes": "3-"}):
        with pytest.raises(InputError):
            overrides_of(**options)
    with pytest.raises(InputError) as caught:
        overrides_of(["time"])
    assert caught.value.hints == ("write it as KEY=VALUE: `--set limits.time=2d`",)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.yml"):
        with pytest.raises(InputError, match="cannot be read"):
            load_job_file(path)
    (tmp_path / "job.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        load_job_file(tmp_path / "job.yml")
    assert mistakes("")[0][1] == "is empty"
    assert "must be a mapping" in mistakes("- a")[0][1]
    assert "is not YAML" in mistakes("a: [")[0][1]
    assert "is not YAML" in mistakes("a: &a [*a]")[0][1]
    assert "is larger" in mistakes("#" * 300_000)[0][1]
    laughs = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{letter}: &{letter} [{', '.join([f'*{chr(ord(letter) - 1)}'] * 10)}]\n" for letter in "bcdefgh"
    )
    assert "more than" in mistakes(laughs)[0][1]


def judged(text: str) -> None:
    """It is a job, or every mistake is told; anything else is raised."""
    try:
        job(text)
    except InputError as error:
        if not error.problems:
            raise


TEXTS = st.text(st.sampled_from("ab09 :,{}[]-#&*!|>%@'\"\\/\n\t\0\x7f\ud800é"), max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["min", "path", "regex", "x"]), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*JobDocument.model_fields, "zz"]), VALUES))
def test_whatever_is_written_gives_a_job_or_mistakes(values: dict[str, object]) -> None:
    """JSON is YAML, nearly; so keys that are known with values of any shape."""
    judged(json.dumps({"aiops": 1, "name": "a", "command": "true"} | values))


@given(TEXTS)
def test_whatever_text_it_is(text: str) -> None:
    for whole in (text, LEAST + text, LEAST + f"env: {text}"):
        judged(whole)


def test_the_examples_of_the_page_are_jobs() -> None:
    page = (REFERENCE.parent / "job-file.md").read_text()
    found = [text for text in re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL) if "aiops: 1" in text]
    assert len(found) == 3
    assert [job(text).kind for text in found] == ["batch", "batch", "service"]


def test_the_schema_is_current() -> None:
    assert (REFERENCE / "job.schema.json").read_text() == schema_text(), "write it again with `make docs`"


def test_a_job_never_hung_and_the_same_source_compiles_to_the_same_job() -> None:
    text = LEAST + "limits: {hang: never}\n"
    found = job(text)
    assert found.limits.hang == inf
    assert job(found.source) == found
    assert replace(found, id="a-8") == compile_job(read_job_file(text, "x", folder="/home/ann"), ANN, 8, NOW)
