"""What no waiting would mend is told before anything starts: shapes, engines, makers, shares, accounts, folders."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from aiops.layers.core.errors import InputError
from aiops.layers.l2_jobs.checkpoint.checkpoint import Checkpoint, Level
from aiops.layers.l2_jobs.feasibility import Offer, candidates, misfit, obstacles
from aiops.layers.l2_jobs.foothold import footing_obstacles
from aiops.layers.l2_jobs.footing import Footing, Ground, need_of
from aiops.layers.l2_jobs.job import Account, Job
from aiops.layers.l2_jobs.job_file import JobFile, compile_job, read_job_file
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.submission import Cluster, submission

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EIGHT = tuple(range(8))
CLUSTER = (
    Place("gpu01", "slurm", EIGHT, "nvidia"),
    Place("gpu02", "slurm", EIGHT, "nvidia", closed="it drains"),
    Place("gpu03", "slurm", EIGHT[:4], "nvidia"),
    Place("npu01", "ssh", EIGHT, "ascend", shares=True),
    Place("npu02", "ssh", EIGHT, "ascend"),
    Place("cpu01", "ssh"),
)
OFFER = Offer(("podman", "apptainer"), ("torch", "dcp", "hf-trainer", "glob"))
LEAST = "aiops: 1\nname: a\ncommand: torchrun train.py\n"


def made(lines: str) -> tuple[JobFile, Job]:
    file = read_job_file(LEAST + lines, "job.yml", folder="/shared/ann")
    return file, compile_job(file, Account("ann", 1001, 1001), 1, NOW)


def told(lines: str, places: tuple[Place, ...] = CLUSTER) -> list[tuple[str, str, str | None]]:
    file, job = made(lines)
    return [(one.where, one.message, one.hint) for one in obstacles(file, job, places, OFFER)]


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "nodes: 2\ndevices: 8",
        "nodes: {min: 1, max: 9}\ndevices: 8",
        "nodes: 3\ndevices: 4\nengine: slurm",
        "nodes: 2\ndevices: {count: 8, vendor: ascend}",
        "devices: {share: 0.5}",
        "nodes: {min: 2, only: 'gpu[01-02]'}\ndevices: 8",
        "nodes: 1\nspares: 1\ndevices: 8",
        "image: apptainer:///shared/a.sif",
        "checkpoint: {path: /a, format: 'glob:step-*/done'}",
    ],
)
def test_what_can_run_has_no_obstacle(lines: str) -> None:
    assert told(lines) == []


def test_an_accelerator_that_is_ill_for_now_makes_no_job_impossible() -> None:
    ill = (Place("gpu01", "ssh", EIGHT[1:], "nvidia", missing=1), Place("gpu02", "ssh", (), "nvidia", missing=8))
    assert told("nodes: 2\ndevices: 8", ill) == []
    _, job = made("nodes: 2\ndevices: 8")
    assert len(candidates(job, ill)) == 2
    assert told("devices: 9", ill)[0][1] == "`devices` asks for 9 of each node, and no node has more than 8"


@pytest.mark.parametrize(
    ("lines", "where", "message", "hint"),
    [
        (
            "devices: 16",
            4,
            "`devices` asks for 16 of each node, and no node has more than 8",
            "`devices: 8` with `nodes: 2`",
        ),
        ("nodes: 9\ndevices: 16", 5, "no node has more than 8", "`devices: 8`"),
        (
            "nodes: 3\ndevices: 8",
            4,
            "the job needs 3 nodes with 8 accelerators, and there are 2 of one engine: gpu[01-02]",
            "`nodes: 2`, or `devices: 4`",
        ),
        ("nodes: 9", 4, "the job needs 9 nodes, and there are 3 of one engine: gpu[01-03]", "`nodes: 3`"),
        ("nodes: 2\ndevices: 8\nspares: 1", 6, "`spares` asks for 1 beside 2 nodes with 8 accelerators", "`spares: 0`"),
        ("nodes: {only: 'gpu[01,09]'}", 4, "there is no node `gpu09` in this cluster", "`gpu0"),
        (
            "nodes: {only: gpu01}\nengine: ssh",
            4,
            "gpu01 belongs to the engine slurm, and `engine` is `ssh`",
            "`engine: slurm`",
        ),
        (
            "nodes: {only: 'gpu01,npu01'}",
            4,
            "mixes nodes of two engines: gpu01 of slurm and npu01 of ssh",
            "one engine",
        ),
        (
            "launch: srun\nnodes: {only: npu01}",
            4,
            "`launch: srun` needs Slurm, and npu01 belongs to the engine ssh",
            "torchrun",
        ),
        ("devices: {count: 1, vendor: nvida}", 4, "no node has accelerators of `nvida`", "ascend, nvidia"),
        (
            "nodes: {only: 'npu02'}\ndevices: {share: 0.5}",
            5,
            "no node may share its accelerators",
            "aiops_share_devices",
        ),
        (
            "nodes: {only: cpu01}\ndevices: 1",
            5,
            "no node that the job may use has an accelerator",
            "leave `devices` out",
        ),
        (
            "nodes: 2\ndevices: {share: 0.5}",
            4,
            "needs 2 nodes whose accelerators may be shared, and there are 1: npu01",
            "`nodes: 1`",
        ),
        ("image: podman://a\nfolder: /a,b", 5, "/a,b has a comma or a colon", ""),
        ("image: podmn://a", 4, "there is no kind of container `podmn`", "`podman://...`"),
        (
            "checkpoint: {path: /a, format: hf_trainer}",
            4,
            "there is no format of checkpoints `hf_trainer`",
            "`hf-trainer`",
        ),
    ],
)
def test_an_obstacle_says_what_would_fit(lines: str, where: int, message: str, hint: str) -> None:
    ((place, said, fits),) = told(lines)
    assert place == f"job.yml:{where}"
    assert message in said
    assert hint in (fits or "")


def test_all_obstacles_are_told_at_once() -> None:
    found = told("nodes: {only: 'gpu[01-02],gpu77'}\ndevices: 9\nimage: x://a\ncheckpoint: {path: /a, format: y}")
    assert [where for where, _, _ in found] == ["job.yml:4", "job.yml:5", "job.yml:6", "job.yml:7"]


def test_srun_needs_slurm() -> None:
    ssh = tuple(place for place in CLUSTER if place.engine == "ssh")
    ((where, message, _),) = told("launch: srun", ssh)
    assert (where, message) == ("job.yml:4", "`launch: srun` needs Slurm, and all nodes belong to the engine ssh")
    ((where, message, hint),) = told("engine: slurm", ssh)
    assert (where, message) == ("job.yml:4", "no node belongs to the engine slurm")
    assert "`engine: ssh`" in str(hint)
    assert told("", ())[0][1] == "this cluster has no nodes for jobs"


def test_candidates_are_all_nodes_that_would_do() -> None:
    _, job = made("devices: 8")
    assert [place.name for place in candidates(job, CLUSTER)] == ["gpu01", "gpu02", "npu01", "npu02"]
    _, job = made("devices: {share: 0.5}")
    assert [place.name for place in candidates(job, CLUSTER)] == ["npu01"]


def footing(node: str, why: str | None = None, *, uid: int | None = 1001, same: bool | None = True) -> Footing:
    return Footing(node, uid, uid, (Ground("/shared/ann"), Ground("/runs/a", why, same)))


def judged(footings: list[Footing], nodes: str = "{min: 1, max: 3}") -> list[tuple[str, str]]:
    file, job = made(f"nodes: {nodes}\ncheckpoint:\n  path: /runs/a\n")
    found = footing_obstacles(file, job, {one.node: one for one in footings})
    return [(f"{one.line}: {one.message}", one.hint or "") for one in found]


def test_a_footing_that_will_do() -> None:
    _, job = made("checkpoint: {path: /runs/a}")
    assert need_of(job).folders == (("/shared/ann", False), ("/runs/a", True))
    assert judged([footing("gpu01"), footing("gpu02"), Footing("gpu03", silent="no route")]) == []


def test_accounts_must_be_the_same_everywhere() -> None:
    found = judged([footing("gpu01"), Footing("gpu02"), footing("gpu03", uid=7), footing("gpu04", uid=7)])
    assert [words for words, _ in found] == [
        "4: there is no account `ann` on gpu02",
        "4: `ann` has the number 1001 where the job was submitted, and 7 on gpu[03-04]",
    ]
    assert all("aiops_users" in hint for _, hint in found)
    assert "`only: gpu[01-02]`" in found[1][1]


def test_folders_must_be_there_and_shared() -> None:
    ((words, hint),) = judged(
        [footing("gpu01", "it is not there", same=None), footing("gpu02", "it is not there", same=None)]
    )
    assert words == "6: `checkpoint.path` /runs/a will not do on any node: it is not there"
    assert "mkdir -p /runs/a" in hint
    ((words, hint),) = judged([footing("gpu01"), footing("gpu02"), footing("gpu03", same=False)])
    assert words == "6: `checkpoint.path` /runs/a is not the same folder on gpu03 as on gpu[01-02]"
    assert "`only: gpu[01-02]`" in hint
    ((words, hint),) = judged([footing("gpu01"), footing("gpu02", same=False)], "2")
    assert "`only:" not in hint, "one node is not enough"
    ((words, _),) = judged([footing("gpu01", "it may not be written to", same=None), footing("gpu02")])
    assert words == "6: `checkpoint.path` /runs/a will not do on gpu01: it may not be written to"


def test_a_submission_tells_all_of_it_at_once() -> None:
    file, job = made("nodes: {min: 3, only: 'gpu[01-02],gpu77'}\ndevices: 8\ncheckpoint:\n  path: /runs/a\n")
    asked: list[list[str]] = []

    def look(_: Job, able: Sequence[Place]) -> dict[str, Footing]:
        asked.append([place.name for place in able])
        return {place.name: footing(place.name, "it is not there", same=None) for place in able}

    cluster = Cluster(CLUSTER, OFFER, look, lambda _: ())
    with pytest.raises(InputError) as caught:
        submission(file, job.owner, 1, NOW, cluster)
    assert caught.value.code == "job.wrong"
    assert [one.where for one in caught.value.problems] == ["job.yml:4", "job.yml:4", "job.yml:7"]
    assert asked == [["gpu01", "gpu02"]]
    file, job = made("devices: 8")
    cluster = Cluster(CLUSTER, OFFER, lambda _, able: {place.name: footing(place.name) for place in able}, lambda _: ())
    assert submission(file, job.owner, 1, NOW, cluster) == job


def checkpoint(world: int, *, elastic: bool = False, why: str | None = None) -> Checkpoint:
    return Checkpoint(
        step=5,
        path="/runs/a/step-5",
        format="torch",
        level=Level.STRUCTURE,
        verified=why is None,
        why=why,
        world_size=world,
        size=1,
        written=NOW,
        elastic=elastic,
    )


@pytest.mark.parametrize(
    ("resume", "there", "said"),
    [
        (False, [], None),
        (False, [checkpoint(8)], "has a checkpoint already, the newest of step 5"),
        (False, [checkpoint(8, why="it is cut off"), checkpoint(8)], "has 2 checkpoints already"),
        (True, [checkpoint(8)], None),
        (True, [checkpoint(8, why="it is cut off"), checkpoint(8)], None),
        (True, [], "there is no checkpoint in /runs/a to go on from"),
        (True, [checkpoint(8, why="it is cut off")], "none verifies, the newest: it is cut off"),
        (True, [checkpoint(32)], "written by 32 processes"),
    ],
)
def test_what_lies_in_the_folder_already_is_gone_on_from_only_where_the_job_says_so(
    resume: bool, there: list[Checkpoint], said: str | None
) -> None:
    file, job = made(f"devices: 8\ncheckpoint:\n  path: /runs/a\n  resume: {str(resume).lower()}\n")
    grounds = {place.name: footing(place.name) for place in CLUSTER}
    cluster = Cluster(
        CLUSTER, OFFER, lambda _, able: {place.name: grounds[place.name] for place in able}, lambda _: there
    )
    if said is None:
        assert submission(file, job.owner, 1, NOW, cluster) == job
        return
    with pytest.raises(InputError) as caught:
        submission(file, job.owner, 1, NOW, cluster)
    (problem,) = caught.value.problems
    assert said in problem.message


def test_a_checkpoint_of_another_size_or_format() -> None:
    file, job = made("nodes: {min: 1, max: 2}\ndevices: 8\ncheckpoint: {path: /runs/a}")
    assert misfit(file, job, checkpoint(16)) is None
    assert misfit(file, job, checkpoint(8)) is None
    assert misfit(file, job, checkpoint(32, elastic=True)) is None
    found = misfit(file, job, checkpoint(32))
    assert found is not None
    assert found.where == "job.yml:4"
    assert "written by 32 processes" in found.message
    file, job = made("devices: 8\ncheckpoint:\n  path: /runs/a\n  format: dcp")
    found = misfit(file, job, checkpoint(8))
    assert found is not None
    assert found.where == "job.yml:7"
    assert "format torch, not dcp" in found.message
