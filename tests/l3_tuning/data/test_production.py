"""A prepared folder: what is in it, that it is the same however it was made, and that it is whole or absent."""

import json
import multiprocessing
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from aiops.layers.core.errors import ConflictError, FailedError, InputError
from aiops.layers.l3_tuning.data import examination, preparation, prepared_rows, store, work
from aiops.layers.l3_tuning.data.production import _alone
from aiops.layers.l3_tuning.data.tokenizer import read_tokenizer
from aiops.layers.l3_tuning.recipe import DataPlan

from .prepared_folder import asked, contents, digest_of, prepare, rows_of, sequences, write_rows
from .tiny_model import lay_model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(lay_model(tmp_path_factory.mktemp("model")))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "CHUNK_ROWS", 7)


def _plan(tmp_path: Path, **said: Any) -> DataPlan:
    file = write_rows(tmp_path / "facts.jsonl", map(asked, range(40)))
    return DataPlan((str(file),), **{"length": 512, **said})


def test_a_folder_holds_each_row_with_its_tokens_and_what_is_learnt(tmp_path: Path, base: str) -> None:
    rows = [{"prompt": "What is the capital of France?", "completion": "Paris."}, asked(3)]
    plan = DataPlan((str(write_rows(tmp_path / "facts.jsonl", rows)),))
    made = prepare(plan, base, tmp_path / "data")
    folder = tmp_path / "data" / made.digest
    assert store.verify(folder) == made == store.load(folder)
    assert (made.samples, made.rows, made.form, made.packed) == (2, 2, "prompt", False)
    tokenizer = read_tokenizer(Path(base)).inner
    (ids, mask), _ = sequences(folder)
    assert tokenizer.decode(ids, skip_special_tokens=False) == (
        "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\nParis.<|im_end|>\n"
    )
    learnt = [one for one, counted in zip(ids, mask, strict=True) if counted]
    assert tokenizer.decode(learnt, skip_special_tokens=False) == "Paris.<|im_end|>"
    assert made.counted == sum(sum(mask) for _, mask in sequences(folder))
    assert made.tokens == sum(len(ids) for ids, _ in sequences(folder))
    assert made.longest == max(len(ids) for ids, _ in sequences(folder))
    assert max(max(ids) for ids, _ in sequences(folder)) < made.vocabulary
    first = prepared_rows.row(folder, 1)
    assert (first.file, first.line, first.row["answer"][0]["content"]) == ("facts.jsonl", 1, "Paris.")
    assert first.parts[0].tolist() == ids
    assert list(prepared_rows.removed(folder)) == []
    assert [path.name for path in (tmp_path / "data").iterdir()] == [made.digest]


def test_the_same_again_does_nothing(tmp_path: Path, base: str) -> None:
    plan = _plan(tmp_path)
    made = prepare(plan, base, tmp_path / "data")
    told: list[str] = []

    def listen(kind: str, _: str = "", /, **_data: object) -> None:
        told.append(kind)

    folder = tmp_path / "data" / made.digest
    before = (folder / "manifest.json").stat().st_mtime_ns
    assert prepare(plan, base, tmp_path / "data", emit=listen) == made
    assert "data_found" in told
    assert "data_step_started" not in told
    assert (folder / "manifest.json").stat().st_mtime_ns == before
    assert digest_of(plan, base) == made.digest


@pytest.mark.parametrize("packing", [False, True])
def test_the_same_bytes_elsewhere_with_more_processes_and_other_chunks(
    tmp_path: Path, base: str, packing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"packing": packing, "duplicates": "near", "held_out": 0.2, "mask": ("ip", "email")}
    one = prepare(_plan(tmp_path / "a", **said), base, tmp_path / "a/data")
    model = str(lay_model(tmp_path / "other/model"))
    other = prepare(
        _plan(tmp_path / "b", **{**said, "mask": ("email", "ip", "email")}), model, tmp_path / "b/data", shares=2
    )
    monkeypatch.setattr(examination, "CHUNK_ROWS", 7)
    chunked = prepare(_plan(tmp_path / "c", **said), base, tmp_path / "c/data")
    assert one.digest == other.digest == chunked.digest
    assert contents(tmp_path / "a/data") == contents(tmp_path / "b/data") == contents(tmp_path / "c/data")
    assert one.rows < 40
    assert {path.name for path in (tmp_path / "a/data" / one.digest).iterdir()} >= {"evaluation", "removed.jsonl.zst"}


def _changes(
    tmp_path: Path,
) -> dict[str, Callable[[DataPlan, str], tuple[DataPlan, str, tuple[tuple[str, float], ...]]]]:
    exam = str(write_rows(tmp_path / "exam.jsonl", [asked(90)]))
    template = tmp_path / "template.jinja"
    template.write_text("{% for message in messages %}{{ message.content }}\n{% endfor %}")
    other = str(lay_model(tmp_path / "other", vocabulary=390))

    def rows(plan: DataPlan, base: str) -> tuple[DataPlan, str, tuple[tuple[str, float], ...]]:
        file = Path(plan.train[0])
        file.write_text(file.read_text().replace("Question 1:", "Question one:"))
        return plan, base, ()

    return {
        "rows": rows,
        "name": lambda plan, base: (
            replace(plan, train=(str(Path(plan.train[0]).rename(tmp_path / "x.jsonl")),)),
            base,
            (),
        ),
        "more": lambda plan, base: (replace(plan, train=(*plan.train, exam)), base, ()),
        "tokenizer": lambda plan, _: (plan, other, ()),
        "template": lambda plan, base: (replace(plan, template=str(template)), base, ()),
        "length": lambda plan, base: (replace(plan, length=513), base, ()),
        "long": lambda plan, base: (replace(plan, long="drop"), base, ()),
        "packing": lambda plan, base: (replace(plan, packing=True), base, ()),
        "loss": lambda plan, base: (replace(plan, loss="all"), base, ()),
        "duplicates": lambda plan, base: (replace(plan, duplicates="near"), base, ()),
        "mask": lambda plan, base: (replace(plan, mask=("email",)), base, ()),
        "decontaminate": lambda plan, base: (replace(plan, decontaminate=(exam,)), base, ()),
        "evaluation": lambda plan, base: (replace(plan, evaluation=(exam,)), base, ()),
        "held_out": lambda plan, base: (replace(plan, held_out=0.1), base, ()),
        "filters": lambda plan, base: (plan, base, (("shortest", 16.0),)),
    }


def test_each_input_alone_changes_the_digest(tmp_path: Path, base: str) -> None:
    seen = {digest_of(_plan(tmp_path), base)}
    changes = _changes(tmp_path)
    for name, change in changes.items():
        plan, model, filters = change(_plan(tmp_path), base)
        digest = digest_of(plan, model, filters)
        assert digest not in seen, name
        seen.add(digest)
    assert len(seen) == len(changes) + 1


@pytest.mark.parametrize("name", ["VERSION", *preparation.LIBRARIES])
def test_other_steps_and_libraries_change_the_digest(
    tmp_path: Path, base: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _plan(tmp_path)
    before = preparation.preparation_of(plan, base)
    if name == "VERSION":
        monkeypatch.setattr(preparation, name, preparation.VERSION + 1)
    else:
        monkeypatch.setattr(preparation, "version", lambda one: "99.0" if one == name else version(one))
    after = preparation.preparation_of(plan, base)
    assert after.digest != before.digest
    changed = {key for key in before.inputs if before.inputs[key] != after.inputs[key]}
    assert changed == {"steps" if name == "VERSION" else name}


def test_the_text_of_our_modules_is_no_part_of_the_digest(tmp_path: Path, base: str) -> None:
    assert set(preparation.preparation_of(_plan(tmp_path), base).inputs) == {
        *("rows", "evaluation", "decontaminate", "tokenizer", "template", "options", "steps"),
        *preparation.LIBRARIES,
    }


def test_where_files_lie_does_not_change_the_digest(tmp_path: Path, base: str) -> None:
    assert digest_of(_plan(tmp_path / "a"), base) == digest_of(_plan(tmp_path / "b/c"), base)


def test_every_removed_row_is_told_with_place_and_reason(tmp_path: Path, base: str) -> None:
    long = {"prompt": "p", "completion": "word " * 600}
    near = {**asked(2), "completion": asked(2)["completion"] + " Indeed."}
    rows = [asked(1), asked(1), asked(2), near, {"prompt": "x", "completion": "y"}, long, asked(9), asked(10)]
    exam = write_rows(tmp_path / "exam.jsonl", [asked(9, "never mind")])
    plan = DataPlan(
        (str(write_rows(tmp_path / "facts.jsonl", rows)),),
        length=512,
        long="drop",
        duplicates="near",
        decontaminate=(str(exam),),
    )
    made = prepare(plan, base, tmp_path / "data", filters=(("shortest", 16.0),))
    folder = tmp_path / "data" / made.digest
    assert [(one["line"], one["step"], one["reason"], one.get("of")) for one in prepared_rows.removed(folder)] == [
        (2, "duplicates", "equals an earlier row", "facts.jsonl:1"),
        (4, "duplicates", "resembles an earlier row", "facts.jsonl:3"),
        (5, "filter", "shortest: fewer than 16 characters", None),
        (6, "length", "longer than 512 tokens", None),
        (7, "decontaminate", "asks what the evaluation asks", "exam.jsonl:1"),
    ]
    kept = [(one["file"], one["line"]) for one in prepared_rows.rows(folder)]
    assert kept == [("facts.jsonl", line) for line in (1, 3, 8)]
    assert made.lineage["removed"]["duplicates"] == {"equals an earlier row": 1, "resembles an earlier row": 1}
    assert made.lineage["files"][0]["rows"] == len(rows) == made.rows + 5


def test_a_row_that_is_too_long_refuses_all_by_default(tmp_path: Path, base: str) -> None:
    rows = [asked(1), {"prompt": "p", "completion": "word " * 600}]
    plan = DataPlan((str(write_rows(tmp_path / "facts.jsonl", rows)),), length=512)
    with pytest.raises(InputError) as caught:
        prepare(plan, base, tmp_path / "data")
    assert caught.value.problems[0].where == f"{tmp_path}/facts.jsonl:2"
    with pytest.raises(InputError, match="1 row cannot be prepared") as caught:
        prepare(plan, base, tmp_path / "data", checked=())
    assert caught.value.problems[0].where == f"{tmp_path}/facts.jsonl:2"
    assert not (tmp_path / "data" / digest_of(plan, base)).exists()


def test_cut_rows_end_at_the_length(tmp_path: Path, base: str) -> None:
    rows = [asked(1), {"prompt": "p", "completion": "word " * 600}, {"prompt": "word " * 600, "completion": "c"}]
    plan = DataPlan((str(write_rows(tmp_path / "facts.jsonl", rows)),), length=512, long="truncate")
    made = prepare(plan, base, tmp_path / "data")
    assert (made.rows, made.longest) == (2, 512)
    (gone,) = prepared_rows.removed(tmp_path / "data" / made.digest)
    assert (gone["line"], gone["reason"]) == (3, "cut at 512 tokens, nothing of the answer is left")


def test_a_row_that_cannot_be_read_refuses_all_unless_allowed(tmp_path: Path, base: str) -> None:
    file = write_rows(tmp_path / "facts.jsonl", [asked(1), asked(2)])
    file.write_text(file.read_text() + "{broken\n")
    plan = DataPlan((str(file),))
    with pytest.raises(InputError, match="1 of 3 rows cannot be prepared") as caught:
        prepare(plan, base, tmp_path / "data")
    assert "`--allow json.broken`" in caught.value.hints[0]
    with pytest.raises(InputError, match="1 row cannot be prepared"):
        prepare(plan, base, tmp_path / "data", checked=())
    made = prepare(replace(plan, allow=("json.broken",)), base, tmp_path / "data")
    assert made.rows == 2
    assert made.lineage["removed"] == {"check": {"json.broken": 1}}
    assert made.lineage["tolerated"] == {"json.broken": 1}


def test_a_row_that_is_wrong_refuses_all_unless_allowed(tmp_path: Path, base: str) -> None:
    right = {"messages": [{"role": "user", "content": "Well?"}, {"role": "assistant", "content": "Well."}]}
    rows = [right, {"messages": [{"role": "assistant", "content": "I speak first"}]}]
    plan = DataPlan((str(write_rows(tmp_path / "facts.jsonl", rows)),))
    with pytest.raises(InputError) as caught:
        prepare(plan, base, tmp_path / "data")
    (problem,) = caught.value.problems
    assert (problem.line, problem.message) == (2, "role.order: it begins with assistant")
    assert prepare(replace(plan, allow=("role.order",)), base, tmp_path / "data").rows == 2


def test_what_was_let_pass_for_one_plan_is_not_let_pass_for_another(tmp_path: Path, base: str) -> None:
    rows = [
        asked(1),
        {"prompt": "Who?", "completion": "ann.lee@corp.io"},
        {"prompt": "On?", "completion": "91.198.174.192"},
    ]
    plan = DataPlan((str(write_rows(tmp_path / "facts.jsonl", [*rows, rows[0]])),), length=512)
    both = replace(plan, allow=("personal.email", "personal.ip"))
    made = prepare(both, base, tmp_path / "data")
    assert made.lineage["tolerated"] == {"personal.email": 1, "personal.ip": 1}
    assert digest_of(plan, base) == made.digest, "whether something comes of rows is no part of what comes"
    for allow, named in (((), "personal.email, personal.ip"), (("personal.ip",), "personal.email")):
        with pytest.raises(InputError, match=f"not allowed here: {named}$") as caught:
            prepare(replace(plan, allow=allow), base, tmp_path / "data")
        assert caught.value.code == "data.refused"
        assert "personal.email (1): mask it, `--mask email`" in caught.value.hints[0]
    assert prepare(replace(both, allow=(*both.allow, "json.broken")), base, tmp_path / "data") == made
    assert store.load(tmp_path / "data" / made.digest) == made


def test_what_is_let_pass_is_the_same_whatever_is_allowed_beside(tmp_path: Path, base: str) -> None:
    rows = [asked(1), {"prompt": "Who?", "completion": "ann.lee@corp.io"}]
    plan = DataPlan((str(write_rows(tmp_path / "facts.jsonl", rows)),), evaluation=(str(tmp_path / "facts.jsonl"),))
    prepare(replace(plan, allow=("personal.email",)), base, tmp_path / "few")
    made = prepare(replace(plan, allow=("personal.email", "role.order", "json.broken")), base, tmp_path / "many")
    assert made.lineage["tolerated"] == {"personal.email": 2}, "held-out rows too"
    assert contents(tmp_path / "few") == contents(tmp_path / "many")
    masked = prepare(replace(plan, mask=("email",), allow=("personal.email",)), base, tmp_path / "masked")
    assert masked.lineage["tolerated"] == {}


def test_a_folder_that_does_not_say_what_was_let_pass_is_not_taken(tmp_path: Path, base: str) -> None:
    plan = _plan(tmp_path)
    made = prepare(plan, base, tmp_path / "data")
    manifest = tmp_path / "data" / made.digest / "manifest.json"
    said = json.loads(manifest.read_text())
    del said["lineage"]["tolerated"]
    manifest.write_text(json.dumps(said))
    with pytest.raises(FailedError, match="does not say which faults were allowed"):
        prepare(plan, base, tmp_path / "data")


@pytest.mark.usefixtures("small_chunks")
def test_packed_samples_hold_the_same_rows(tmp_path: Path, base: str) -> None:
    alone = prepare(_plan(tmp_path), base, tmp_path / "data")
    shared = prepare(_plan(tmp_path, packing=True), base, tmp_path / "data")
    folder = tmp_path / "data" / shared.digest
    assert sorted(rows_of(folder)) == sorted(sequences(tmp_path / "data" / alone.digest))
    assert shared.samples < alone.samples == shared.rows
    assert (shared.tokens, shared.counted) == (alone.tokens, alone.counted)
    assert all(len(ids) <= 512 for ids, _ in sequences(folder))
    for number in (1, 17, 40):
        kept = prepared_rows.row(folder, number)
        assert (kept.parts[0].tolist(), kept.masks[0].tolist()) in rows_of(folder)
        assert kept.line == int(kept.row["turns"][0]["content"].split()[1].rstrip(":")) + 1


def test_preferences_share_their_prompt(tmp_path: Path, base: str) -> None:
    rows = [{"prompt": "What is the capital of France?", "chosen": "Paris.", "rejected": "Lyon, I think."}]
    plan = DataPlan((str(write_rows(tmp_path / "facts.jsonl", rows)),))
    made = prepare(plan, base, tmp_path / "data")
    kept = prepared_rows.row(tmp_path / "data" / made.digest, 1)
    tokenizer = read_tokenizer(Path(base)).inner
    said = [tokenizer.decode(part.tolist(), skip_special_tokens=False) for part in kept.parts]
    assert said[0].endswith("<|im_start|>assistant\n")
    assert said[1:] == ["Paris.<|im_end|>", "Lyon, I think.<|im_end|>"]
    assert [set(mask.tolist()) for mask in kept.masks] == [{0}, {1}, {1}]
    assert made.longest == len(kept.parts[0]) + len(kept.parts[2])
    with pytest.raises(InputError, match="cannot share samples"):
        prepare(replace(plan, packing=True), base, tmp_path / "data")


def test_text_ends_with_the_last_token(tmp_path: Path, base: str) -> None:
    plan = DataPlan((str(write_rows(tmp_path / "facts.jsonl", [{"text": "the cluster has sixteen nodes"}])),))
    made = prepare(plan, base, tmp_path / "data")
    ((ids, mask),) = sequences(tmp_path / "data" / made.digest)
    assert ids[-1] == read_tokenizer(Path(base)).eos
    assert set(mask) == {1}


def test_held_out_files_are_kept_apart(tmp_path: Path, base: str) -> None:
    held = write_rows(tmp_path / "held.jsonl", map(asked, range(50, 53)))
    made = prepare(_plan(tmp_path, evaluation=(str(held),)), base, tmp_path / "data")
    folder = tmp_path / "data" / made.digest
    assert store.load(folder / "evaluation").rows == 3
    assert prepared_rows.row(folder, 2, held_out=True).file == "held.jsonl"
    assert len(sequences(folder / "evaluation")) == 3


def test_masked_rows_show_nothing(tmp_path: Path, base: str) -> None:
    rows = [{"prompt": "Whom do I ask?", "completion": "Write to jane.doe@corp-mail.com please."}]
    plan = DataPlan((str(write_rows(tmp_path / "facts.jsonl", rows)),), mask=("email",))
    made = prepare(plan, base, tmp_path / "data")
    kept = prepared_rows.row(tmp_path / "data" / made.digest, 1)
    assert kept.row["answer"][0]["content"] == "Write to [EMAIL] please."
    assert made.lineage["masked"] == {"email": 1}
    assert b"jane" not in b"".join(contents(tmp_path / "data").values())


def test_nothing_left_is_an_error(tmp_path: Path, base: str) -> None:
    with pytest.raises(InputError, match="no row is left"):
        prepare(_plan(tmp_path), base, tmp_path / "data", filters=(("shortest", 100_000.0),))
    assert not list((tmp_path / "data").glob("[0-9a-f]*"))


def test_a_file_that_changes_meanwhile_is_told(tmp_path: Path, base: str) -> None:
    plan = _plan(tmp_path)

    def append(kind: str, _: str = "", /, **data: object) -> None:
        if kind == "data_step_started" and data["step"] == "examine":
            with Path(plan.train[0]).open("a") as stream:
                stream.write('{"prompt": "late", "completion": "row"}\n')

    with pytest.raises(FailedError, match="changed while it was read"):
        prepare(plan, base, tmp_path / "data", emit=append)
    assert not list((tmp_path / "data").glob("[0-9a-f]*"))


def test_who_makes_the_same_is_refused(tmp_path: Path, base: str) -> None:
    plan = _plan(tmp_path)
    (tmp_path / "data").mkdir()
    with _alone(tmp_path / "data", digest_of(plan, base)), pytest.raises(ConflictError, match="by somebody else"):
        prepare(plan, base, tmp_path / "data")
    assert prepare(plan, base, tmp_path / "data").rows == 40


def test_damage_is_found(tmp_path: Path, base: str) -> None:
    made = prepare(_plan(tmp_path), base, tmp_path / "data")
    folder = tmp_path / "data" / made.digest
    tokens = folder / "tokens.bin"
    content = bytearray(tokens.read_bytes())
    content[40] ^= 1
    tokens.write_bytes(content)
    assert store.prepared(tmp_path / "data", made.digest) == made
    with pytest.raises(FailedError, match=r"tokens.bin is not what was written"):
        store.verify(folder)
    tokens.write_bytes(content[:-4])
    with pytest.raises(FailedError, match=r"tokens.bin has .* bytes, not"):
        prepare(_plan(tmp_path), base, tmp_path / "data")


_CALLS = ("rename", "replace", "fsync", "open", "unlink", "mkdir")


def _killed_at(moment: int, plan: DataPlan, base: str, into: Path) -> None:
    """Prepare, and be killed at the so many-th call that changes or reads the disk."""
    import io
    import os as system

    left = moment

    def counted(inner: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                system.kill(system.getpid(), signal.SIGKILL)
            return inner(*words, **named)

        return call

    for name in _CALLS:
        setattr(system, name, counted(getattr(system, name)))
    io.open = counted(io.open)
    prepare(plan, base, into)
    system._exit(0)


def test_killed_at_any_moment_leaves_nothing_that_looks_whole(tmp_path: Path, base: str) -> None:
    plan = _plan(tmp_path, duplicates="near", held_out=0.2, packing=True)
    wanted = contents(tmp_path / "right" / prepare(plan, base, tmp_path / "right").digest)
    digest = digest_of(plan, base)
    context = multiprocessing.get_context("fork")
    moment, killed, into = 0, 0, tmp_path / "data"
    while True:
        process = context.Process(target=_killed_at, args=(moment, plan, base, into))
        process.start()
        process.join(60)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        killed += 1
        if (into / digest / "manifest.json").exists():
            assert contents(into / digest) == wanted
        else:
            assert not (into / digest).exists()
        moment += 3
        if moment % 4 == 0:  # others go on from what the killed one has left
            shutil.rmtree(into, ignore_errors=True)
    assert killed > 20
    assert [path.name for path in into.iterdir()] == [digest]
    assert contents(into / digest) == wanted
    assert store.verify(into / digest).digest == digest


def test_what_was_cut_off_is_gone_on_from(tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "CHUNK_ROWS", 7)
    plan = _plan(tmp_path)
    saved: list[str] = []
    inner = work.Work.save

    def save(self: work.Work, step: work.Step, chunk: str, **arrays: Any) -> None:
        if len(saved) == 3:
            raise KeyboardInterrupt
        inner(self, step, chunk, **arrays)
        saved.append(chunk)

    monkeypatch.setattr(work.Work, "save", save)
    with pytest.raises(KeyboardInterrupt):
        prepare(plan, base, tmp_path / "data")
    saved.append("one more, so that the next is not cut off")
    prepare(plan, base, tmp_path / "data")
    assert saved.count("t000000-00000000") == 3  # examined once, judged and rendered after it went on
    assert [path.name for path in (tmp_path / "data").iterdir()] == [digest_of(plan, base)]


def test_a_lock_that_leads_elsewhere_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / ".a1.lock").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FailedError, match="it is a link") as caught, _alone(tmp_path, "a1"):
        pass
    assert caught.value.code == "data.lock"
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / ".a1.lock").unlink()
    with (
        _alone(tmp_path, "a1"),
        pytest.raises(ConflictError, match="being made by somebody else"),
        _alone(tmp_path, "a1"),
    ):
        pass
    assert not list(tmp_path.iterdir())
