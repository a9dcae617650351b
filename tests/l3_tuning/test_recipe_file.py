"""recipe.yml: the canonical file, every mistake with file and line, `extends`, overrides, and its canonical copy."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.core.places import Override
from aiops.layers.l2_jobs.job_override import overrides_of
from aiops.layers.l3_tuning.recipe import Recipe
from aiops.layers.l3_tuning.recipe_document import RecipeDocument, schema_text
from aiops.layers.l3_tuning.recipe_file import compile_recipe, load_recipe, read_recipe
from aiops.layers.l3_tuning.recipe_text import differences, document_of, flat, yaml_of

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
LEAST = "aiops: 1\nname: a\nbase: /m\nfolder: /r\ndata: {train: [/d]}\ntrain: {steps: 9}\n"


def sets(*texts: str) -> tuple[Override, ...]:
    return overrides_of(texts)


def recipe(text: str, *overrides: str, files: Mapping[str, str] | None = None, folder: str = "/home/ann") -> Recipe:
    return compile_recipe(
        read_recipe(text, "recipe.yml", folder=folder, overrides=sets(*overrides), reader=reads(files or {}))
    )


def reads(files: Mapping[str, str]) -> Callable[[str], str]:
    def read(path: str) -> str:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return files[path]

    return read


def mistakes(text: str, *overrides: str, files: Mapping[str, str] | None = None) -> list[tuple[str, str, str | None]]:
    with pytest.raises(InputError) as caught:
        recipe(text, *overrides, files=files)
    assert caught.value.code == "recipe.wrong"
    return [(one.where, one.message, one.hint) for one in caught.value.problems]


def test_the_canonical_file_says_every_key() -> None:
    file = load_recipe(str(REFERENCE / "recipe.yml"), Path("/"))
    own = file.chain.links[0]
    said = {key for key, _ in flat(own.plain())} | set(own.plain())
    wanted = {field.alias or name for name, field in RecipeDocument.model_fields.items()}
    assert wanted <= said
    for section, field in RecipeDocument.model_fields.items():
        model = getattr(field.annotation, "model_fields", None)
        for key in model or {}:
            name = f"{field.alias or section}.{key}"
            assert name in said or name in {"train.steps", "train.beta", "data.held_out"}, name
    found = compile_recipe(file)
    assert (found.name, found.method, found.train.epochs, found.train.rate) == ("llama-facts", "sft", 3.0, 2e-4)
    assert found.adapter.targets == ("q_proj", "k_proj", "v_proj", "o_proj")
    assert found.placement.only == tuple(f"gpu{number:02}" for number in range(1, 9))
    assert (found.evaluation.right, found.evaluation.loss, found.placement.time) == (0.8, 2.0, 7 * 86_400)
    assert found.handing.gguf == ("q8_0",)


def test_the_schema_is_current() -> None:
    assert (REFERENCE / "recipe.schema.json").read_text() == schema_text(), "write it again with `make docs`"
    assert json.loads(schema_text())["additionalProperties"] is False


def test_the_least_that_a_file_may_say() -> None:
    found = recipe(LEAST)
    assert (found.trainer, found.method, found.adapter.kind) == ("aiops", "sft", "lora")
    assert (found.train.precision, found.placement.sharding, found.data.loss) == ("bf16", "none", "answer")


@pytest.mark.parametrize(
    ("more", "precision", "sharding"),
    [
        ("placement: {devices: 0}", "fp32", "none"),
        ("placement: {devices: 0, nodes: 2}", "fp32", "ddp"),
        ("placement: {devices: 8}", "bf16", "ddp"),
        ("adapter: {type: none}\nplacement: {devices: 8}", "bf16", "fsdp"),
        ("adapter: {type: none}\nplacement: {devices: 0, processes: 2}", "fp32", "ddp"),
    ],
)
def test_what_counts_where_nothing_is_said(more: str, precision: str, sharding: str) -> None:
    found = recipe(LEAST + more)
    assert (found.train.precision, found.placement.sharding) == (precision, sharding)


def test_all_mistakes_are_told_at_once_with_lines() -> None:
    text = """aiops: 1
kind: recipe
name: Llama
base_model: /m
adaptr: {type: lora}
data:
  train: []
  cutoff_len: 4
  held_out: 2
train:
  epochs: 0
  lr: 1e-4
  optimizer: adam
placement: {devices: -1, sharding: zero3}
lora_rank: 8
"""
    assert mistakes(text) == [
        (
            "recipe.yml:1",
            "`base` is missing",
            "the folder of a model, for example `base: /shared/models/llama-3.1-8b-instruct`",
        ),
        (
            "recipe.yml:1",
            "`folder` is missing",
            "a folder that all nodes share, for example `folder: /shared/runs/facts`",
        ),
        (
            "recipe.yml:3",
            "`name` must be lower-case letters, digits and `-`, a letter first, at most 40, is 'Llama'",
            None,
        ),
        ("recipe.yml:4", "unknown key `base_model`", "did you mean `base`?"),
        ("recipe.yml:5", "unknown key `adaptr`", "did you mean `adapter`?"),
        ("recipe.yml:8", "unknown key `cutoff_len` in `data`", "did you mean `length`?"),
        ("recipe.yml:9", "`data.held_out` must be less than 1, is 2.0", None),
        ("recipe.yml:11", "`train.epochs` must be more than 0, is 0", None),
        ("recipe.yml:12", "unknown key `lr` in `train`", "did you mean `rate`?"),
        (
            "recipe.yml:13",
            "`train.optimizer` must be adamw, adamw-8bit, adafactor or sgd, is 'adam'",
            "did you mean `adamw`?",
        ),
        ("recipe.yml:14", "`placement.devices` must be at least 0, is -1", None),
        ("recipe.yml:14", "`placement.sharding` must be none, fsdp or ddp, is 'zero3'", None),
        ("recipe.yml:15", "unknown key `lora_rank`", "did you mean `adapter.rank`?"),
    ]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("train: {epochs: 1, steps: 9}", "`train.epochs` and `train.steps` are both said"),
        ("train: {}", "neither `train.epochs` nor `train.steps` is said"),
        ("train: {steps: 9, warmup: 9}", "`train.warmup` is 9, and there are 9 steps in all"),
        ("adapter: {type: none, layers: 2}", "`adapter.layers` is said, and `adapter.type` is `none`"),
        ("adapter: {targets: [q_proj, q_proj]}", "`adapter.targets` names `q_proj` twice"),
        (
            "method: dpo\ndata: {train: [/d], format: chat}",
            "`data.format` is `chat`, and `method: dpo` learns preference",
        ),
        ("method: dpo\ndata: {train: [/d], packing: true}", "`data.packing` puts rows together"),
        ("method: pretrain\ndata: {train: [/d], loss: answer}", "`data.loss` is `answer`, and text has none"),
        ("data: {train: [/d], evaluation: [/e], held_out: 2%}", "`data.evaluation` names held-out files"),
        ("data: {train: [/d], evaluation: [/d]}", "`data.train` names /d, which `data.evaluation` names too"),
        ("train: {steps: 9, beta: 0.2}", "`train.beta` is said, and `method` is `sft`"),
        ("train: {steps: 9, precision: bf16}\nplacement: {devices: 0}", "`train.precision` is `bf16`, and"),
        ("train: {steps: 9, attention: flash}\nplacement: {devices: 0}", "`train.attention` is `flash`, which"),
        ("placement: {devices: 0, vendor: nvidia}", "`placement.vendor` is `nvidia`, and"),
        ("placement: {devices: 0, nodes: 2, sharding: fsdp}", "`placement.sharding` is `fsdp`, and there is nothing"),
        ("placement: {devices: 8, sharding: none}", "`placement.sharding` is `none`, and there are 8 processes"),
        ("placement: {sharding: ddp}", "`placement.sharding` is `ddp`, and there is one process"),
        ("placement: {devices: 2, processes: 3}", "`placement.processes` is 3, for 2 devices"),
        (
            "adapter: {type: qlora}\nplacement: {devices: 2, sharding: fsdp}",
            "`placement.sharding` is `fsdp`, and `adapter",
        ),
        ("placement: {nodes: 3, only: 'gpu[01-02]'}", "`placement.only` names 2 of the 3 nodes"),
        ("evaluation: {right: 80%}", "`evaluation.right` is said, and there are no questions"),
        ("evaluation: {questions: /q}", "`evaluation.questions` is said, and not how many"),
        ("evaluation: {loss: 2}", "`evaluation.loss` is said, and no rows are held out"),
        ("adapter: {type: none}\nregister: {merge: true}", "`register.merge` is said, and"),
        ("register: {gguf: [q8_0]}", "`register.gguf` asks for whole models"),
        ("base: ~/m", "`base` must be a path, is '~/m'"),
        ("options: {a: [1]}", "`options` has `a`, which is neither text"),
        ("kind: job", "`kind` must be recipe, is 'job'"),
    ],
)
def test_what_lies_between_keys_is_told_with_what_would_fit(more: str, told: str) -> None:
    keys = {line.partition(":")[0] for line in more.splitlines()}
    kept = "".join(f"{line}\n" for line in LEAST.splitlines() if line.partition(":")[0] not in keys)
    found = mistakes(kept + more)
    assert len(found) == 1, found
    where, words, _ = found[0]
    assert words.startswith(told)
    assert where.startswith("recipe.yml:")


def test_paths_are_meant_from_the_folder_of_the_file_that_says_them() -> None:
    files = {"/srv/plain/facts.yml": "aiops: 1\ndata: {train: rows, template: t.jinja}\nfolder: ../runs\n"}
    found = recipe(
        "aiops: 1\nname: a\nextends: ../../srv/plain/facts.yml\nbase: models/m\ntrain: {steps: 1}\n",
        files={"/home/ann/../../srv/plain/facts.yml": files["/srv/plain/facts.yml"]},
    )
    assert found.base == "/home/ann/models/m"
    assert found.data.train[0].endswith("/srv/plain/rows")
    assert (found.data.template or "").endswith("/srv/plain/t.jinja")


def test_a_chain_of_files_and_shipped_recipes_where_the_nearest_counts() -> None:
    files = {"/home/ann/team.yml": "aiops: 1\nextends: llama-3-8b-sft-lora\ntrain: {steps: 500, rate: 1e-5}\n"}
    text = "aiops: 1\nname: a\nextends: team.yml\nbase: /m\nfolder: /r\ndata: {train: [/d]}\nadapter: {rank: 4}\n"
    found = recipe(text, "train.batch=7", files=files)
    assert (found.adapter.rank, found.adapter.alpha) == (4, 16)
    assert (found.train.steps, found.train.epochs, found.train.rate) == (500, None, 1e-5)
    assert (found.train.batch, found.train.warmup) == (7, 100)
    file = read_recipe(text, "recipe.yml", folder="/home/ann", overrides=sets("train.batch=7"), reader=reads(files))
    assert file.chain.origin(("adapter", "rank")) == "recipe.yml:7"
    assert file.chain.origin(("train", "rate")) == "team.yml:3"
    assert (file.chain.origin(("train", "warmup")) or "").startswith("llama-3-8b-sft-lora:")
    assert file.chain.origin(("train", "batch")) == "--set train.batch=7"
    assert file.chain.origin(("train", "seed")) is None
    full = recipe(text.replace("adapter: {rank: 4}", "adapter: {type: none}"), files=files)
    assert (full.adapter.kind, full.adapter.targets) == ("none", ())


def test_mistakes_of_extended_files_stand_in_their_own_lines() -> None:
    files = {"/home/ann/team.yml": "aiops: 1\ntrain:\n  steps: 500\n  lr: 1\n  warmup: 900\n"}
    text = "aiops: 1\nname: a\nextends: team.yml\nbase: /m\nfolder: /r\ndata: {train: [/d], packin: true}\n"
    assert mistakes(text, files=files) == [
        ("recipe.yml:6", "unknown key `packin` in `data`", "did you mean `packing`?"),
        ("team.yml:4", "unknown key `lr` in `train`", "did you mean `rate`?"),
    ]
    assert mistakes(LEAST, "train.rat=1", "train.seed=x") == [
        ("--set train.rat=1", "unknown key `rat` in `train`", "did you mean `rate`?"),
        ("--set train.seed=x", "`train.seed` must be a whole number, is 'x'", None),
    ]


def test_circles_and_what_is_not_there_are_refused() -> None:
    around = {"/home/ann/b.yml": "aiops: 1\nextends: c.yml\n", "/home/ann/c.yml": "aiops: 1\nextends: b.yml\n"}
    [(where, words, _)] = mistakes(LEAST + "extends: b.yml\n", files=around)
    assert (where, words) == ("c.yml:2", "`extends` goes round in a circle: recipe.yml -> b.yml -> c.yml -> b.yml")
    [(where, words, _)] = mistakes(LEAST + "extends: recipe.yml\n")
    assert words == "`extends` goes round in a circle: recipe.yml -> recipe.yml"
    [(where, words, hint)] = mistakes(LEAST + "extends: llama-3-8b-stf-lora\n")
    assert (where, hint) == ("recipe.yml:7", "did you mean `llama-3-8b-sft-lora`?")
    [(where, words, _)] = mistakes(LEAST + "extends: gone.yml\n")
    assert words == "`extends` names gone.yml, which cannot be read: No such file or directory"
    long = {f"/home/ann/{n}.yml": f"aiops: 1\nextends: {n + 1}.yml\n" for n in range(20)}
    assert mistakes(LEAST + "extends: 0.yml\n", files=long)[0][1] == "`extends` leads through more than 8 files"


def test_null_takes_back_what_is_extended() -> None:
    text = "aiops: 1\nname: a\nextends: llama-3-8b-sft-lora\nbase: /m\nfolder: /r\ndata: {train: [/d]}\n"
    assert recipe(text).train.warmup == 100
    assert recipe(text + "train: {warmup: null}\n").train.warmup == 0


def test_the_digest_counts_what_is_learnt_and_no_paths() -> None:
    plain = recipe(LEAST)
    for same in (
        "base=/other",
        "data.train=[/e, /f]",
        "folder=/elsewhere",
        "placement.queue=night",
        "placement.priority=9",
        "checkpoint.keep=5",
        "environment=trainer-2",
        "train.rate=0.0002",
    ):
        assert recipe(LEAST, same).digest == plain.digest, same
    for other in ("train.seed=2", "train.rate=0.0003", "placement.nodes=2", "data.length=4096", "options={a: 1}"):
        assert recipe(LEAST, other).digest != plain.digest, other
    changed = recipe(LEAST, "train.seed=2", "train.rate=1e-5", "placement.queue=night", "options={a: 1}")
    assert differences(plain, changed) == (("options.a", None, 1), ("train.rate", 2e-4, 1e-5), ("train.seed", 1, 2))


SAID = st.fixed_dictionaries(
    {},
    optional={
        "train.rate": st.floats(1e-9, 1, exclude_min=True),
        "train.seed": st.integers(0, 2**31 - 1),
        "train.recompute": st.booleans(),
        "data.length": st.integers(8, 10**6),
        "data.held_out": st.floats(0, 0.99),
        "data.mask": st.lists(st.sampled_from(["email", "ip"]), unique=True),
        "adapter.targets": st.lists(st.sampled_from(["q_proj", "v_proj", "o_proj"]), unique=True),
        "adapter.layers": st.none() | st.integers(1, 99),
        "placement.time": st.sampled_from([None, "7d", "1h30m", "45s"]),
        "placement.nodes": st.integers(1, 99),
        "options": st.dictionaries(st.sampled_from("abc"), st.booleans() | st.integers() | st.text(max_size=5)),
        "evaluation.loss": st.none(),
        "register.merge": st.booleans(),
    },
)


@given(SAID)
def test_the_canonical_copy_is_the_same_recipe(said: dict[str, object]) -> None:
    found = recipe(LEAST, *(f"{key}={json.dumps(one)}" for key, one in said.items()))
    text = yaml_of(document_of(found), "what was run")
    again = recipe(text, folder="/elsewhere")
    assert again == found
    assert yaml_of(document_of(again), "what was run") == text


@given(st.text(max_size=200))
def test_whatever_text_it_is(text: str) -> None:
    for content in (text, LEAST + text):
        try:
            read_recipe(content, "recipe.yml", folder="/", reader=reads({}))
        except InputError as error:
            assert error.problems  # noqa: PT017 - most texts are wrong, and some are right


def test_a_name_that_is_nowhere_is_told() -> None:
    with pytest.raises(InputError) as caught:
        load_recipe("lama-3-8b-sft-lora", Path("/"))
    assert caught.value.hints == ("did you mean `llama-3-8b-sft-lora`?",)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load_recipe("gone.yml", Path("/"))
