"""A run: its folder made whole or not at all, what it is made of, what a resume refuses, and the job it becomes."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from tests.l3_tuning.test_shipped import whole
from tests.l3_tuning.test_trainer import Plain
from tests.l3_tuning.trainer_contract import a_recipe, a_run

from aiops.layers.core.errors import ConflictError, FailedError, InputError, NotFoundError
from aiops.layers.l2_jobs.job_file import read_job_file
from aiops.layers.l3_tuning import run_folder, run_jobs, run_lock, run_making
from aiops.layers.l3_tuning.artefact import hand_on, read_artefact
from aiops.layers.l3_tuning.base_digest import read_base
from aiops.layers.l3_tuning.compile import compile_run
from aiops.layers.l3_tuning.data.row import Row
from aiops.layers.l3_tuning.recipe import Placement
from aiops.layers.l3_tuning.recipe_text import digest_of, document_of, yaml_of
from aiops.layers.l3_tuning.resume import changes, going_on, not_compared, refused
from aiops.layers.l3_tuning.run import CAUSES, Cause, Run
from aiops.layers.l3_tuning.run_document import Making, code_digest, document, making_of, read_document
from aiops.layers.l3_tuning.run_folder import Contents
from aiops.layers.l3_tuning.shipped import shipped
from aiops.layers.l3_tuning.trainer import Export, Rendered

CODE = {"train.py": b"print()\n", "deep/er.py": b"x = 1\n"}


def plain_run(**changes: object) -> Run:
    recipe = replace(a_recipe(options={"program": "/x.py"}), **changes)  # type: ignore[arg-type]
    recipe = replace(recipe, digest=digest_of(recipe))
    run = a_run(recipe, Plain())
    return replace(run, code=code_digest(CODE, "plain")[0])


def made(run: Run, files: Mapping[str, str] | None = None) -> Making:
    found = files or {"model.safetensors": "a" * 64, "config.json": "b" * 64}
    return made_of(run, found, code_digest(CODE, "plain")[1])


def made_of(run: Run, base_files: Mapping[str, str], code_files: Mapping[str, str]) -> Making:
    """What a run is made of that was put together for a test."""
    data = run.data.manifest
    found = making_of(run.recipe, (run.base.digest, base_files), (data.digest, data.inputs), (run.code, code_files))
    return replace(found, allowed=run.allowed)


def contents(run: Run, making: Making | None = None) -> Contents:
    return Contents(
        document(run, making or made(run)),
        yaml_of(document_of(run.recipe)),
        compile_run(run, Plain().render(run)),
        {"rendered/config.json": b"{}"},
        {f"worker/{run.code[:16]}/{name}": one for name, one in CODE.items()},
        run.data.path,
    )


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


# What a run is made of

OTHER: dict[Cause, str] = {
    "base": "0" * 64,
    "data": "1" * 64,
    "recipe": "2" * 64,
    "code": "3" * 64,
    "environment": "4" * 64,
}


def changed(old: Making, causes: tuple[Cause, ...]) -> Making:
    new = replace(old, digests={**old.digests, **{cause: OTHER[cause] for cause in causes}})
    if "base" in causes:
        new = replace(new, base_files={**new.base_files, "model.safetensors": "c" * 64, "extra.bin": "d" * 64})
    if "data" in causes:
        new = replace(new, data_inputs={**new.data_inputs, "rows": "e" * 64})
    if "recipe" in causes:
        other = replace(new.recipe, train=replace(new.recipe.train, rate=1e-5, seed=9))
        new = replace(new, recipe=other)
    if "code" in causes:
        new = replace(new, code_files={"train.py": "f" * 64})
    if "environment" in causes:
        new = replace(new, packages={"torch": "2.14.0"})
    return new


EVERY = [chosen for count in range(len(CAUSES) + 1) for chosen in combinations(CAUSES, count)]


@pytest.mark.parametrize("causes", EVERY, ids="-".join)
def test_whatever_changed_is_refused_by_name_unless_it_is_allowed(causes: tuple[Cause, ...]) -> None:
    run = plain_run()
    old = replace(
        made(run),
        digests={**made(run).digests, "environment": "e" * 64},
        data_inputs={"rows": "a" * 64, "tokenizer": "b" * 64},
        packages={"torch": "2.13.0"},
    )
    new = changed(old, causes)
    found = changes(old, new)
    assert tuple(one.cause for one in found) == causes
    for allowed in EVERY:
        error = refused(found, allowed, run.name, "facts.yml")
        wrong = [cause for cause in causes if cause not in allowed]
        assert (error is None) == (not wrong)
        if error is not None:
            refuses(error, wrong)
            assert "`aiops train facts.yml`" in error.hints[0]
            # What is typed lets all pass that has to, also what was allowed already.
            options = " ".join(f"--allow-changed {cause}" for cause in causes)
            assert f"`aiops train --resume facts.yml {options}`" in error.hints[1]
            continue
        after = going_on(old, new, found, allowed, "2026-01-01T00:00:00Z")
        assert after.digests == new.digests
        assert set(after.allowed) == set(causes)
        assert [one["what"] for one in after.changes] == list(causes)
        assert changes(after, new) == ()  # and goes on from there without a word


def refuses(error: ConflictError, wrong: list[Cause]) -> None:
    """Whether each cause is told, with what of it."""
    assert isinstance(error, ConflictError)
    assert error.code == "run.changed"
    told = [one.message for one in error.problems]
    assert {one.partition(":")[0] for one in told} == set(wrong)
    assert ("base: file extra.bin is new" in told) == ("base" in wrong)
    assert ("base: file model.safetensors is another (aaaaaaaaaaaa, now cccccccccccc)" in told) == ("base" in wrong)
    assert (f"data: rows is another ({'a' * 12}, now {'e' * 12})" in told) == ("data" in wrong)
    assert ("recipe: train.rate was 0.0002, is 1e-05" in told) == ("recipe" in wrong)
    assert ("recipe: train.seed was 1, is 9" in told) == ("recipe" in wrong)
    assert ("code: file deep/er.py is gone" in told) == ("code" in wrong)
    assert ("environment: torch was 2.13.0, is 2.14.0" in told) == ("environment" in wrong)


def test_what_only_says_where_it_runs_may_differ() -> None:
    run = plain_run()
    moved = plain_run(placement=replace(run.recipe.placement, only=("gpu09", "gpu10"), queue="night", priority=9))
    assert changes(made(run), made(moved)) == ()
    after = going_on(made(run), made(moved), (), (), "")
    assert after.recipe.placement.queue == "night"
    assert after.allowed == ()


def test_run_json_says_what_was_said() -> None:
    run = replace(plain_run(), allowed=("data",))
    digests: dict[Cause, str] = {**made(run).digests, "environment": "e" * 64}
    making = replace(
        made(run),
        digests=digests,
        origins={"train.rate": "recipe.yml:3"},
        changes=({"what": "data"},),
        packages={"torch": "2.13.0"},
        questions="c" * 64,
    )
    written = json.loads(json.dumps(document(run, making)))
    assert read_document(written, "run.json") == making
    for key in written:
        if key in {"run", "steps", "total_tokens", "world", "folder", "environment"}:
            continue  # of the trainer's, not of what a resume is compared with
        if key in {"environment_digest", "packages", "questions", "simulated"}:
            continue  # which runs of before do not say
        broken = {name: one for name, one in written.items() if name != key}
        with pytest.raises(FailedError, match="cannot be read as what a run was made of"):
            read_document(broken, "run.json")


def test_a_run_of_before_says_nothing_of_its_environment_and_goes_on() -> None:
    run = plain_run()
    written = json.loads(json.dumps(document(run, made(run))))
    del written["environment_digest"], written["packages"]
    old = read_document(written, "run.json")
    assert old == made(run)
    digests: dict[Cause, str] = {**old.digests, "environment": "e" * 64}
    new = replace(old, digests=digests, packages={"torch": "2.13.0"})
    assert changes(old, new) == changes(new, old) == ()
    assert "the run does not say" in str(not_compared(old, new))
    assert "no node has said" in str(not_compared(new, old))
    assert not_compared(new, new) is None
    assert going_on(old, new, (), (), "") == new
    assert going_on(new, old, (), (), "") == new


# Its folder


def test_runs_are_numbered_and_found_again(tmp_path: Path) -> None:
    run = plain_run()
    with pytest.raises(NotFoundError, match="there is no run of llama-facts"):
        run_folder.newest(tmp_path / "none", "llama-facts")
    for number in (1, 2, 3):
        with ExitStack() as locks, run_folder.making(tmp_path, "llama-facts", locks) as name:
            assert name == f"llama-facts-{number}"
            run_folder.make(tmp_path / name, contents(run))
    place = run_folder.newest(tmp_path, "llama-facts")
    assert place.name == "llama-facts-3"
    assert names(place) == [
        ".lock",
        "checkpoints",
        "data",
        "job.yml",
        "recipe.yml",
        "rendered",
        "run.json",
        "worker",
    ]
    assert str((place / "data").readlink()) == run.data.path
    found, making = run_folder.read(place)
    assert (found["v"], making) == (1, made(run))
    assert code_digest(run_folder.kept_code(place, run.code), "plain")[0] == run.code
    assert not run_folder.has_checkpoints(place, "checkpoints")
    (place / "checkpoints" / "step-5").mkdir()
    assert run_folder.has_checkpoints(place, "checkpoints")
    run_jobs.record(place, "llama-facts-7", "head:/s")
    run_jobs.record(place, "llama-facts-9", "head:/s")
    assert run_jobs.jobs(place) == ["llama-facts-7", "llama-facts-9"]


def test_a_run_that_fails_to_be_made_is_not_there(tmp_path: Path) -> None:
    def fail(_folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(OSError, match="No space"),
        ExitStack() as locks,
        run_folder.making(tmp_path, "llama-facts", locks) as name,
    ):
        run_folder.make(tmp_path / name, replace(contents(plain_run()), write=fail))
    assert [name for name in names(tmp_path) if name != ".aiops-runs"] == []
    with (
        pytest.raises(FailedError, match="no run can be kept in"),
        ExitStack() as locks,
        run_folder.making(Path("/proc/no"), "a", locks),
    ):
        pass


KILLED = """
import sys, time
from contextlib import ExitStack
from pathlib import Path
from dataclasses import replace
from tests.l3_tuning.test_run import contents, plain_run
from aiops.layers.l3_tuning import run_folder, run_jobs, run_making
place = Path(sys.argv[1])
def wait(folder):
    (folder / "large").write_bytes(b"x" * 100000)
    print("half", flush=True)
    time.sleep(60)
with ExitStack() as locks, run_folder.making(place, "llama-facts", locks) as name:
    run_folder.make(place / name, replace(contents(plain_run()), write=wait))
"""


def test_what_was_killed_half_way_leaves_no_run_and_goes_with_the_next(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert ".llama-facts-1.making" in names(tmp_path)
    assert run_folder.numbers(tmp_path, "llama-facts") == []
    with ExitStack() as locks, run_folder.making(tmp_path, "llama-facts", locks) as name:
        assert name == "llama-facts-1"
        assert names(tmp_path / ".llama-facts-1.making") == [".lock"]  # ours: what was there has gone
        run_folder.make(tmp_path / name, contents(plain_run()))
    assert run_folder.numbers(tmp_path, "llama-facts") == [1]


def test_others_begin_runs_while_rows_are_written(tmp_path: Path) -> None:
    """Who begins a run waits for nobody's rows, and takes away only what nobody fills any more."""
    met: list[str] = []

    def other() -> None:
        with ExitStack() as locks, run_folder.making(tmp_path, "llama-facts", locks) as name:
            run_folder.make(tmp_path / name, contents(plain_run()))
            met.append(name)

    def write(folder: Path) -> None:
        (folder / "large").write_bytes(b"x")
        second = threading.Thread(target=other, daemon=True)
        second.start()
        second.join(timeout=20)
        assert (folder / "large").exists()
        met.append("written")

    with ExitStack() as locks, run_folder.making(tmp_path, "llama-facts", locks) as name:
        assert name == "llama-facts-1"
        run_folder.make(tmp_path / name, replace(contents(plain_run()), write=write))
        with pytest.raises(ConflictError, match="llama-facts-1 is being started by"), run_lock.held(tmp_path / name):
            pass
    assert met == ["llama-facts-2", "written"]
    assert run_folder.numbers(tmp_path, "llama-facts") == [1, 2]
    assert [one for one in names(tmp_path) if one.endswith(".making")] == []


def test_a_hidden_link_is_neither_taken_away_nor_followed(tmp_path: Path) -> None:
    project, runs = tmp_path / "project", tmp_path / "runs"
    project.mkdir()
    runs.mkdir()
    (project / ".lock").write_text("of something else")
    (runs / ".llama-facts-1.making").symlink_to(project)
    (runs / ".llama-facts-2.making").symlink_to(tmp_path / "nowhere")
    (runs / "llama-facts-3").symlink_to(tmp_path / "nowhere")
    with ExitStack() as locks, run_folder.making(runs, "llama-facts", locks) as name:
        assert name == "llama-facts-4"
        run_folder.make(runs / name, contents(plain_run()))
    assert (project / ".lock").read_text() == "of something else"
    assert names(project) == [".lock"]


def test_a_lock_that_leads_elsewhere_empties_nothing(tmp_path: Path) -> None:
    keys = tmp_path / "authorized_keys"
    keys.write_text("ssh-ed25519 A")
    place = tmp_path / "llama-facts-1"
    place.mkdir()
    (place / ".lock").symlink_to(keys)
    with pytest.raises(FailedError, match="it is a link") as caught, run_lock.held(place):
        pass
    assert caught.value.code == "run.folder"
    assert keys.read_text() == "ssh-ed25519 A"
    (tmp_path / ".aiops-runs").symlink_to(keys)
    with (
        pytest.raises(FailedError, match="it is a link"),
        ExitStack() as locks,
        run_folder.making(tmp_path, "llama-facts", locks),
    ):
        pass


@pytest.mark.parametrize("how", ["whole", "link"])
def test_a_run_of_somebody_else_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    with ExitStack() as locks, run_folder.making(tmp_path, "llama-facts", locks) as name:
        run_folder.make(tmp_path / name, contents(plain_run()))
    assert run_folder.newest(tmp_path, "llama-facts").name == "llama-facts-1"
    planted = tmp_path / "llama-facts-9"
    if how == "whole":
        (tmp_path / "llama-facts-1").rename(planted)
    else:
        planted.symlink_to("llama-facts-1")
    if os.geteuid() == 0:
        os.chown(planted, 4321, -1, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: planted.lstat().st_uid + 1)
    with pytest.raises(ConflictError, match=r"llama-facts-9 is user \d+'s") as caught:
        run_folder.newest(tmp_path, "llama-facts", "facts.yml")
    assert caught.value.code == "run.owner"
    assert "`aiops train facts.yml`" in caught.value.hints[0]


def test_a_file_system_without_locks_keeps_no_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(_descriptor: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", without)
    with (
        pytest.raises(FailedError, match="No locks available") as caught,
        ExitStack() as locks,
        run_folder.making(tmp_path, "llama-facts", locks),
    ):
        pass
    assert caught.value.code == "run.folder"
    with pytest.raises(FailedError, match="No locks available"), run_lock.held(tmp_path):
        pass


def test_the_jobs_of_a_run_stand_with_their_desks(tmp_path: Path) -> None:
    path = tmp_path / run_jobs.JOBS
    assert run_jobs.taken(tmp_path) == ()
    path.write_text('["facts-1", {"intended": {"word": "w", "desk": "a:/s", "at": "t"}}]')  # of an aiops of before
    assert run_jobs.taken(tmp_path) == (run_jobs.Taken("facts-1"),)
    assert run_jobs.intended(tmp_path) == run_jobs.Intent("w", "a:/s", "t")
    run_jobs.record(tmp_path, "facts-2", "a:/s")
    run_jobs.record(tmp_path, "facts-2", "b:/s")
    for desk, state in (("b:/s", "held"), ("b:/s", "failed"), ("b:/s", "succeeded"), ("c:/s", "succeeded")):
        run_jobs.ended(tmp_path, "facts-2", desk, state)
    run_jobs.ended(tmp_path, "facts-1", "c:/s", "cancelled")
    assert run_jobs.jobs(tmp_path) == ["facts-1", "facts-2", "facts-2"]
    assert [(one.desk, one.state, one.over) for one in run_jobs.taken(tmp_path)] == [
        ("c:/s", "cancelled", True),
        ("a:/s", None, False),
        ("b:/s", "failed", True),
    ]
    assert not run_jobs.Taken("facts-3", "a:/s", "held").over
    for wrong in ("{", "[1]", '[{"desk": "a:/s"}]', '[{"job": "a", "more": 1}]'):
        path.write_text(wrong)
        with pytest.raises(FailedError, match=r"jobs\.json cannot be read"):
            run_jobs.taken(tmp_path)


def test_a_run_that_goes_on_is_told_by_its_new_files(tmp_path: Path) -> None:
    run = plain_run()
    with ExitStack() as locks, run_folder.making(tmp_path, "llama-facts", locks) as name:
        run_folder.make(tmp_path / name, contents(run))
    place = tmp_path / "llama-facts-1"
    moved = plain_run(placement=replace(run.recipe.placement, queue="night"))
    making = going_on(made(run), made(moved), (), (), "")
    for name in ("report.json", "report.html"):
        (place / name).write_text("of what it was")
    run_folder.remake(place, replace(contents(moved, making), data="/elsewhere"))
    assert not {"report.json", "report.html"} & set(names(place))
    assert run_folder.read(place)[1].recipe.placement.queue == "night"
    assert "queue: night" in (place / "job.yml").read_text()
    assert str((place / "data").readlink()) == "/elsewhere"


def test_rows_of_other_data_are_whole_or_those_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stops a resume while rows are written: no half file, and the next resume writes what is missing."""
    run = plain_run()
    monkeypatch.setattr(run_making, "rows", lambda _folder: iter([{"row": {"form": "text", "text": "x"}}] * 3))

    def files(word: str, stop: int | None = None) -> Contents:
        """Two files of three rows; it stops behind `stop` rows."""
        left = iter(range(6))

        def row(_row: Row) -> dict[str, str]:
            if next(left) == stop:
                raise OSError(28, "No space left on device")
            return {"word": word}

        exports = tuple(Export(f"rows/{name}.jsonl", "train", row) for name in ("a", "b"))
        upon = replace(run, data=replace(run.data, path=str(tmp_path / word)))
        return run_making.contents_of(upon, made(run), replace(Plain().render(run), exports=exports), {})

    with ExitStack() as locks, run_folder.making(tmp_path, "llama-facts", locks) as name:
        run_folder.make(tmp_path / name, files("old"))
    place = tmp_path / "llama-facts-1"
    before = (place / "run.json").read_bytes()

    def said() -> list[list[str]]:
        return [
            [json.loads(line)["word"] for line in (place / "rows" / f"{name}.jsonl").read_text().splitlines()]
            for name in ("a", "b")
        ]

    assert said() == [["old"] * 3] * 2
    for stop, left in ((2, ["old", "old"]), (4, ["new", "old"])):
        with pytest.raises(OSError, match="No space"):
            run_folder.remake(place, files("new", stop))
        assert said() == [[word] * 3 for word in left]
        assert names(place / "rows") == ["a.jsonl", "b.jsonl"]
        assert (place / "run.json").read_bytes() == before
    run_folder.remake(place, files("old"))  # the data was put back: the rows are, too
    assert said() == [["old"] * 3] * 2
    assert str((place / "data").readlink()) == str(tmp_path / "old")
    run_folder.remake(place, files("new"))
    assert said() == [["new"] * 3] * 2
    assert str((place / "data").readlink()) == str(tmp_path / "new")


# Its base


def model(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(b"w" * 1000)
    (folder / "original").mkdir()
    (folder / "original" / "consolidated.pth").write_bytes(b"twice")
    return folder


def test_a_base_is_hashed_once_and_again_where_it_changed(tmp_path: Path) -> None:
    folder, cache = model(tmp_path / "m"), tmp_path / "home" / "bases.json"
    told: list[tuple[int, int]] = []
    base, files = read_base(str(folder), cache, lambda done, whole: told.append((done, whole)))
    assert sorted(files) == ["config.json", "model.safetensors"]
    assert base.config["model_type"] == "llama"
    assert told[-1] == (1023, 1023)
    told.clear()
    assert read_base(str(folder), cache, lambda done, whole: told.append((done, whole)))[0] == base
    assert told == []
    (folder / "model.safetensors").write_bytes(b"v" * 1000)
    os.utime(folder / "model.safetensors", ns=(1, 1))
    again, others = read_base(str(folder), cache)
    assert again.digest != base.digest
    assert others["config.json"] == files["config.json"]
    cache.write_text("[broken")
    assert read_base(str(folder), cache)[0] == again
    copy = model(tmp_path / "copy")
    (copy / "model.safetensors").write_bytes(b"v" * 1000)
    assert read_base(str(copy), cache)[0].digest == again.digest


def test_what_is_no_base_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        read_base(str(tmp_path / "gone"), tmp_path / "c.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"is no model: there is no config\.json"):
        read_base(str(tmp_path / "empty"), tmp_path / "c.json")


# The job that it becomes


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_becomes_a_job(name: str) -> None:
    recipe = replace(whole(name), options={"program": "/shared/train.py"})
    run = a_run(recipe, Plain())
    file = read_job_file(compile_run(run, Plain().render(run)), "job.yml", folder=run.folder)
    document = file.document
    assert (document.name, document.launch, document.nodes.max) == (recipe.name, "torchrun", recipe.placement.nodes)
    assert document.env["HF_HUB_OFFLINE"] == document.env["TRANSFORMERS_OFFLINE"] == "1"
    assert ("OMP_NUM_THREADS" in document.env) == (recipe.placement.devices == 0)
    assert document.checkpoint is not None
    assert document.checkpoint.path == f"{run.folder}/checkpoints"


@pytest.mark.parametrize(("devices", "threads"), [(0, "1"), (8, None)])
def test_threads_are_the_trainers_to_say(devices: int, threads: str | None) -> None:
    """One on processors, where it says nothing; an option by that name means what the trainer takes it for."""
    run = plain_run(options={"program": "/x.py", "threads": 4}, placement=Placement(nodes=1, devices=devices))
    rendered = Plain().render(run)

    def env(rendered: Rendered) -> Mapping[str, str]:
        return read_job_file(compile_run(run, rendered), "job.yml", folder="/").document.env

    assert env(rendered).get("OMP_NUM_THREADS") == threads
    assert env(replace(rendered, variables={"OMP_NUM_THREADS": "6"}))["OMP_NUM_THREADS"] == "6"


def test_the_job_says_what_the_recipe_says_of_it() -> None:
    run = plain_run()
    place = replace(run.recipe.placement, queue="night", engine="slurm", only=("a", "b"), spares=1, time=5400.0)
    run = replace(run, recipe=replace(run.recipe, placement=replace(place, priority=7)))
    text = compile_run(run, Plain().render(run))
    assert text == compile_run(run, Plain().render(run))
    document = read_job_file(text, "job.yml", folder="/").document
    assert (document.queue, document.engine, document.priority, document.spares) == ("night", "slurm", 7, 1)
    assert (document.nodes.only, document.limits.time) == (("a", "b"), 5400)
    assert (document.devices.count, document.processes, document.folder) == (8, 8, run.folder)


# What comes of it


def artefact(run: Path, evaluation: Mapping[str, object]) -> None:
    folder = run / "artefact" / "adapter"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"1234")
    lineage = {
        "v": 1,
        "files": [{"path": "adapter/adapter_model.safetensors", "size": 4, "sha256": "x"}],
        "evaluation": evaluation,
    }
    (run / "artefact" / "lineage.json").write_text(json.dumps(lineage))


class _Relay:
    def __init__(self) -> None:
        self.told: list[str] = []

    def hooks(self, kind: str, _specification: object) -> "_Relay":
        assert kind == "artifact"
        return self

    def artifact_produced(self, folder: str, lineage: Mapping[str, object]) -> list[str]:
        self.told.append(folder)
        assert lineage["v"] == 1
        return ["registered as facts@1"]


def test_an_artefact_is_handed_on_where_it_passed(tmp_path: Path) -> None:
    assert read_artefact(tmp_path) is None
    artefact(tmp_path, {"passed": True, "right": 4, "asked": 4})
    found = read_artefact(tmp_path)
    assert found is not None
    assert found.passed
    relay = _Relay()
    assert hand_on(found, relay) == ("registered as facts@1",)  # type: ignore[arg-type]
    assert relay.told == [str(tmp_path / "artefact")]
    (tmp_path / "artefact" / "adapter" / "adapter_model.safetensors").write_bytes(b"123")
    with pytest.raises(FailedError, match=r"has 3 bytes, and lineage\.json says 4"):
        read_artefact(tmp_path)


def test_an_artefact_that_failed_is_not_handed_on(tmp_path: Path) -> None:
    artefact(tmp_path, {"passed": False, "right": 1, "asked": 4, "wanted": 0.8})
    found = read_artefact(tmp_path)
    assert found is not None
    relay = _Relay()
    with pytest.raises(FailedError, match="is not handed on: 1 of 4 questions answered right"):
        hand_on(found, relay)  # type: ignore[arg-type]
    assert relay.told == []
