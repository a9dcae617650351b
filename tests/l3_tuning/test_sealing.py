"""The artefact of a run whose tool writes none: taken whole, compared, with its lineage; or nothing at all."""

import hashlib
import json
import shutil
import struct
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.l3_tuning.data.prepared_folder import asked, prepare, write_rows
from tests.l3_tuning.data.tiny_model import TEMPLATE, lay_model
from tests.l3_tuning.test_run import made_of
from tests.l3_tuning.test_trainer import Plain
from tests.l3_tuning.trainer_contract import a_recipe

from aiops.layers.core.errors import FailedError, InputError
from aiops.layers.l3_tuning import run_folder, run_jobs
from aiops.layers.l3_tuning.artefact import hand_on, read_artefact, whole_artefact
from aiops.layers.l3_tuning.base_digest import read_base
from aiops.layers.l3_tuning.data.row import Row
from aiops.layers.l3_tuning.plan.machine import Machine, imagined
from aiops.layers.l3_tuning.recipe import AdapterKind
from aiops.layers.l3_tuning.recipe_text import digest_of
from aiops.layers.l3_tuning.run_document import code_digest
from aiops.layers.l3_tuning.run_making import contents_of, prepared_of, run_of
from aiops.layers.l3_tuning.sealing import sealed
from aiops.layers.l3_tuning.trainer import Export

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DESK = "head:/root/.aiops/controller.sock"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


def weights(*names: str) -> bytes:
    header = {name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * n, 4 * n + 4]} for n, name in enumerate(names)}
    written = json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + b"\0\0\0\0" * len(names)


class Site:
    """A run that a tool has ended, and what it left."""

    def __init__(
        self,
        place: Path,
        *,
        adapter: AdapterKind = "lora",
        bare: bool = False,
        own_template: bool = False,
        machines: tuple[Machine, ...] = (),
        **recipe: Any,
    ) -> None:
        base = lay_model(place / "base")
        (base / "config.json").write_text('{"model_type": "llama"}')
        (base / "model.safetensors").write_bytes(weights("a"))
        asked_for = a_recipe(base=str(base), folder=str(place / "runs"), adapter=adapter, options={"program": "/x.py"})
        asked_for = replace(asked_for, data=replace(asked_for.data, length=512), **recipe)
        asked_for = replace(asked_for, digest=digest_of(asked_for))
        rows = write_rows(place / "facts.jsonl", map(asked, range(20)))
        plan = replace(asked_for.data, train=(str(rows),), form="auto")
        made = prepare(plan, str(base), place / "data")
        found, files = read_base(str(base), place / "bases.json")
        code, code_files = code_digest({}, "plain")
        run = run_of(
            asked_for,
            "llama-facts-1",
            base=found,
            data=prepared_of(place / "data" / made.digest),
            code=code,
            trainer=Plain(),
            machines=machines,
        )
        rendered = replace(Plain().render(run), output="checkpoints", bare=bare, own_template=own_template)
        self.made, self.rendered = run, rendered
        self.base, self.steps, self.run = base, run.steps, place / "runs" / "llama-facts-1"
        self.output = self.run / "checkpoints"
        self.run.parent.mkdir()
        run_folder.make(self.run, contents_of(run, made_of(run, files, code_files), rendered, {}))
        run_jobs.record(self.run, "llama-facts-7", DESK)

    def leave(self, files: Mapping[str, bytes], *, below: str = "", tokenizer: bool = True) -> Path:
        folder = self.output / below
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        for name in TOKENIZER if tokenizer else ():
            shutil.copy(self.base / name, folder / name)
        return folder


ADAPTER = {"adapter_config.json": b'{"r": 8}', "adapter_model.safetensors": weights("x.lora_A", "x.lora_B")}
MODEL = {"config.json": b'{"model_type": "llama"}', "model.safetensors": weights("a", "b")}


def test_an_adapter_becomes_an_artefact_with_all_that_it_was_made_of(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.leave({**ADAPTER, "training_args.bin": b"a pickle", "optimizer.pt": b"another", "args.json": b"{}"})
    told: list[tuple[int, int]] = []
    found = sealed(site.run, NOW, lambda done, whole: told.append((done, whole)))
    assert found is not None
    assert found == read_artefact(site.run)
    lineage = found.lineage
    written, making = run_folder.read(site.run)
    for cause in ("base", "data", "recipe", "code"):
        assert lineage[cause]["digest"] == making.digests[cause]
    assert (lineage["job"], lineage["run"], lineage["made"]) == (
        "llama-facts-7",
        "llama-facts-1",
        "2026-01-02T03:04:05Z",
    )
    assert (lineage["parts"], lineage["method"], lineage["steps"]) == ({"adapter": "adapter"}, "sft", site.steps)
    assert written["steps"] == site.steps
    names = {one["path"] for one in lineage["files"]}
    assert names == {f"adapter/{name}" for name in (*ADAPTER, *TOKENIZER)}
    for one in lineage["files"]:
        content = (found.folder / one["path"]).read_bytes()
        assert (one["size"], one["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    whole = sum(one["size"] for one in lineage["files"])
    assert told[-1] == (whole, whole)
    assert lineage["template"] == hashlib.sha256(json.dumps(TEMPLATE).encode()).hexdigest()
    assert lineage["template_rows_compared"] == 20
    assert not [one for one in site.run.iterdir() if one.name.endswith(".making")]


@pytest.mark.parametrize("simulated", [True, False, None])
def test_an_artefact_of_simulated_nodes_says_so(tmp_path: Path, simulated: bool | None) -> None:
    said = replace(imagined(2, 8, 1 << 30)[0], imagined=False)
    site = Site(tmp_path, machines=() if simulated is None else (replace(said, simulated=simulated),))
    site.leave(ADAPTER)
    found = sealed(site.run, NOW)
    assert found is not None
    assert found.lineage["simulated"] is simulated


def test_what_nobody_measured_is_unknown_and_never_passed(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.leave(ADAPTER)
    found = sealed(site.run, NOW)
    assert found is not None
    assert found.passed is None
    assert found.verdict == "not measured"
    assert found.lineage["evaluation"] == {"passed": None, "measured": False}


def test_a_whole_model_in_the_folder_of_the_last_step(tmp_path: Path) -> None:
    site = Site(tmp_path, adapter="none")
    for step in (site.steps - 1, site.steps):
        site.leave(
            {**MODEL, "trainer_state.json": json.dumps({"global_step": step}).encode()}, below=f"checkpoint-{step}"
        )
    found = sealed(site.run, NOW)
    assert found is not None
    assert found.lineage["parts"] == {"model": "model"}
    assert found.lineage["taken_from"] == f"checkpoints/checkpoint-{site.steps}"


def test_weights_alone_get_what_belongs_to_them_from_the_base(tmp_path: Path) -> None:
    site = Site(tmp_path, adapter="none", bare=True)
    index = json.dumps(
        {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    )
    shards = {f"model-0000{n}-of-00002.safetensors": weights(name) for n, name in ((1, "a"), (2, "b"))}
    shards["model.safetensors.index.json"] = index.encode()
    site.leave(shards, below=f"step-{site.steps}", tokenizer=False)
    found = sealed(site.run, NOW)
    assert found is not None
    names = {one["path"].partition("/")[2] for one in found.lineage["files"]}
    assert names == {*shards, "config.json", *TOKENIZER}  # and not the base's own weights
    assert found.lineage["template_rows_compared"] == 20


def test_the_bases_files_must_be_those_that_the_run_was_made_with(tmp_path: Path) -> None:
    site = Site(tmp_path, adapter="none", bare=True)
    site.leave({"model.safetensors": weights("a")}, below=f"step-{site.steps}", tokenizer=False)
    (site.base / "config.json").write_text('{"model_type": "other"}')
    refused(site, "artefact.broken", "config.json is not what the run was made with")


def refused(site: Site, code: str, words: str) -> None:
    with pytest.raises(FailedError) as caught:
        sealed(site.run, NOW)
    assert caught.value.code == code
    assert words in caught.value.message
    assert not (site.run / "artefact").exists()
    assert not (site.run / ".artefact.making").exists()


@pytest.mark.parametrize(
    ("files", "code", "words"),
    [
        ({}, "artefact.missing", "neither adapter_config.json nor config.json is there"),
        ({"adapter_config.json": b"{}"}, "artefact.broken", "has no weights in safetensors"),
        ({**ADAPTER, "adapter_config.json": b"{"}, "artefact.broken", "adapter_config.json cannot be read"),
        ({**ADAPTER, "adapter_model.safetensors": weights("a")[:-1]}, "artefact.broken", "its header speaks of"),
        ({**ADAPTER, "adapter_model.safetensors": b""}, "artefact.broken", "adapter_model.safetensors is 0 bytes"),
        (
            {"config.json": b"{}", "model-00001-of-00002.safetensors": weights("a")},
            "artefact.broken",
            "model-00002-of-00002.safetensors is missing, of 2 files",
        ),
        (
            {**MODEL, "model.safetensors.index.json": b'{"weight_map": {"c": "model.safetensors"}}'},
            "artefact.broken",
            "says that c is in model.safetensors, and it is not there",
        ),
        ({**ADAPTER, "trainer_state.json": b'{"global_step": 7}'}, "artefact.missing", "is the model of step 7"),
    ],
)
def test_what_is_not_whole_is_not_handed_on(tmp_path: Path, files: dict[str, bytes], code: str, words: str) -> None:
    site = Site(tmp_path)
    site.leave(files)
    refused(site, code, words)


def test_a_run_that_ended_early_is_told_with_its_newest_step(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.leave(ADAPTER, below="checkpoint-9")
    refused(site, "artefact.missing", f"its newest is checkpoint-9, and the run has {site.steps} steps")


def test_another_template_than_the_datas_is_refused_with_the_row(tmp_path: Path) -> None:
    site = Site(tmp_path)
    folder = site.leave(ADAPTER)
    (folder / "chat_template.jinja").write_text(TEMPLATE.replace("assistant", "model").replace("<|im_end|>\n", "\n"))
    refused(site, "artefact.template", "facts.jsonl:1: from token ")


def test_a_template_of_the_tools_own_is_not_compared_and_not_said_to_be(tmp_path: Path) -> None:
    site = Site(tmp_path, own_template=True)
    folder = site.leave(ADAPTER)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    found = sealed(site.run, NOW)
    assert found is not None
    assert (found.lineage["template"], found.lineage["template_rows_compared"]) == (None, None)


def test_an_option_that_a_trainer_calls_template_is_not_one_of_the_tools_own(tmp_path: Path) -> None:
    site = Site(tmp_path, options={"program": "/x.py", "template": "letter.tex"})
    folder = site.leave(ADAPTER)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    refused(site, "artefact.template", "facts.jsonl:1: what it writes for the prompt changes")


def test_an_adapter_without_a_tokenizer_is_not_compared(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.leave(ADAPTER, tokenizer=False)
    found = sealed(site.run, NOW)
    assert found is not None
    assert found.lineage["template_rows_compared"] is None


def test_it_is_sealed_once_for_each_job(tmp_path: Path) -> None:
    site = Site(tmp_path)
    folder = site.leave(ADAPTER)
    sealed(site.run, NOW)
    shutil.rmtree(folder)
    again = sealed(site.run, NOW.replace(year=2027))
    assert again is not None
    assert again.lineage["made"] == "2026-01-02T03:04:05Z"
    run_jobs.record(site.run, "llama-facts-8", DESK)  # went on with what may differ
    site.leave({**ADAPTER, "adapter_model.safetensors": weights("y")})
    other = sealed(site.run, NOW.replace(year=2027))
    assert other is not None
    assert (other.lineage["job"], other.lineage["made"]) == ("llama-facts-8", "2027-01-02T03:04:05Z")
    assert (other.folder / "adapter/adapter_model.safetensors").read_bytes() == weights("y")


@pytest.mark.parametrize("how", ["gone", "short", "no lineage"])
def test_what_was_broken_since_is_made_again_of_what_the_tool_left(tmp_path: Path, how: str) -> None:
    site = Site(tmp_path)
    site.leave(ADAPTER)
    first = sealed(site.run, NOW)
    assert first is not None
    file = first.folder / "adapter" / "adapter_model.safetensors"
    if how == "gone":
        file.unlink()
    elif how == "short":
        file.write_bytes(b"x")
    else:
        (first.folder / "lineage.json").write_text("{")
    assert whole_artefact(site.run) is None
    again = sealed(site.run, NOW.replace(year=2027))
    assert again is not None
    assert again == whole_artefact(site.run)
    assert file.read_bytes() == ADAPTER["adapter_model.safetensors"]
    assert again.lineage["made"] == "2027-01-02T03:04:05Z"


def test_a_job_of_the_same_name_at_another_desk_is_another(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.leave(ADAPTER)
    sealed(site.run, NOW)
    run_jobs.record(site.run, "llama-facts-7", "other:/s")
    site.leave({**ADAPTER, "adapter_model.safetensors": weights("y")})
    again = sealed(site.run, NOW)
    assert again is not None
    assert (again.folder / "adapter/adapter_model.safetensors").read_bytes() == weights("y")


def test_a_trainer_that_writes_its_artefact_itself_is_left_alone(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.leave(ADAPTER)
    path = site.run / run_folder.RUN
    for output in ({"output": None}, {}):  # {}: a run of an aiops that did not write it down yet
        written = {key: one for key, one in json.loads(path.read_text()).items() if key != "output"}
        path.write_text(json.dumps({**written, **output}))
        assert sealed(site.run, NOW) is None
        assert not (site.run / "artefact").exists()


def test_it_is_handed_on_as_any_artefact(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.leave(ADAPTER)
    found = sealed(site.run, NOW)
    assert found is not None

    class Relay:
        def hooks(self, *_: object) -> "Relay":
            return self

        def artifact_produced(self, folder: str, lineage: Mapping[str, object]) -> list[str]:
            return [f"{folder} {lineage['evaluation']}"]

    assert hand_on(found, Relay()) == (  # type: ignore[arg-type]
        f"{site.run}/artefact {{'passed': None, 'measured': False}}",
    )


def test_a_row_that_a_tool_cannot_be_handed_is_told_and_no_run_is_made(tmp_path: Path) -> None:
    site = Site(tmp_path)

    def refuse(row: Row) -> str | None:
        return "is the fourth" if row.turns[0].content.startswith("Question 3:") else None

    rendered = replace(site.rendered, exports=(Export("rows/train.jsonl", "train", lambda _row: {}, refuse),))
    place = site.run.with_name("llama-facts-2")
    with pytest.raises(InputError, match=r"^facts\.jsonl:4 is the fourth$") as caught:
        run_folder.make(place, contents_of(site.made, made_of(site.made, {}, {}), rendered, {}))
    assert caught.value.code == "recipe.rows"
    assert [one.name for one in site.run.parent.iterdir()] == [site.run.name]
