"""`aiops recipe plan`, whole screens."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.l3_tuning.plan.models import LLAMA_8B, SMOLLM2

Shown = Callable[..., str]

RECIPE = """\
aiops: 1
kind: recipe
name: facts
base: {base}
data: {{train: [rows.jsonl], length: 8192}}
folder: {base}/runs
adapter: {{type: {adapter}}}
train: {{steps: 100, batch: {batch}}}
placement: {{nodes: 2, devices: {devices}}}
"""


def written(folder: Path, *, adapter: str = "none", batch: int = 8, devices: int = 8, model: object = LLAMA_8B) -> Path:
    """A recipe, and the folder of its base."""
    (folder / "base").mkdir(exist_ok=True)
    (folder / "base/config.json").write_text(json.dumps(model))
    file = folder / "recipe.yml"
    file.write_text(RECIPE.format(base=folder / "base", adapter=adapter, batch=batch, devices=devices))
    return file


def parts(screen: str) -> tuple[int, str, str]:
    head, _, rest = screen.partition("\n--- stdout\n")
    stdout, _, stderr = rest.partition("--- stderr\n")
    return int(head.removeprefix("exit: ")), stdout, stderr


def test_what_does_not_fit_says_what_to_change(shown: Shown, tmp_path: Path) -> None:
    written(tmp_path)
    words = ("recipe", "plan", "recipe.yml", "--device-memory", "80 GiB")
    code, stdout, stderr = parts(shown(*words, terminal=True))
    assert code == 4
    assert "✗ memory        does not fit" in stdout
    assert "train.batch=" in stdout
    assert "· writes        2 + 1 checkpoints of 89.7 GiB" in stdout
    hint = next(line for line in stderr.splitlines() if line.startswith("hint: it fits with"))
    # What is hinted at is true when it is typed.
    typed = [word for word in hint.partition("`")[2].rstrip("`").split()[1:] if word]
    code, stdout, _ = parts(shown(*typed, "--device-memory", "80 GiB", terminal=True))
    assert code == 0
    assert "✓ memory        fits" in stdout


def test_a_pipe_gets_rows(shown: Shown, tmp_path: Path) -> None:
    written(tmp_path)
    code, stdout, _ = parts(shown("recipe", "plan", "recipe.yml", "--device-memory", "80 GiB"))
    rows = [line.split("\t") for line in stdout.splitlines()]
    assert code == 4
    total = next(row for row in rows if row[:2] == ["memory", "total"])
    assert int(total[3]) < int(total[2]) < int(total[4])
    assert ["limit", "node1", str(80 << 30)] in rows
    assert ["verdict", "does not fit"] in rows


def test_options_say_which_cluster(shown: Shown, tmp_path: Path) -> None:
    written(tmp_path, adapter="lora", batch=1)
    words = ("recipe", "plan", "recipe.yml", "--device-memory", "24 GiB", "--nodes", "1", "--devices", "1", "--json")
    code, stdout, _ = parts(shown(*words))
    found = json.loads(stdout)
    assert code == 0 if found["verdict"] in {"fits", "tight"} else 4
    assert found["nodes"] == ["node1"]
    assert found["layout"]["world"] == 1
    assert found["imagined"]
    assert found["memory"]["limit"] == 24 << 30


def test_sizes_are_taken_as_elsewhere(shown: Shown, tmp_path: Path) -> None:
    written(tmp_path)
    words = ("recipe", "plan", "recipe.yml", "--json", "--device-memory")
    assert json.loads(parts(shown(*words, "80G"))[1])["memory"]["limit"] == 80 << 30


def test_a_tight_one_is_no_failure(shown: Shown, tmp_path: Path) -> None:
    written(tmp_path, adapter="lora", batch=1)
    words = ("recipe", "plan", "recipe.yml", "--json", "--device-memory")
    total = json.loads(parts(shown(*words, "200 GiB"))[1])["memory"]["total"]
    code, stdout, _ = parts(shown(*words, f"{(total['likely'] + total['high']) / 2**31:.3f} GiB"))
    found = json.loads(stdout)
    assert (code, found["verdict"]) == (0, "tight")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "rate", "--device-memory", "80 GiB"), "`--set train.rate=1e-5`"),
        (("--device-memory", "80"), "memory is written like"),
        (("--device-memory", "0 B"), "none at all"),
        (("--set", "train.batch=0", "--device-memory", "80 GiB"), "train.batch"),
        (
            ("--set", "adapter={type: lora, layers: 99}", "--device-memory", "80 GiB"),
            "`--set adapter.layers=32`",
        ),
        (("--set", "base=/nowhere", "--device-memory", "80 GiB"), "there is no folder /nowhere"),
    ],
)
def test_what_is_wrong_is_told(shown: Shown, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    written(tmp_path)
    code, stdout, stderr = parts(shown("recipe", "plan", "recipe.yml", *words))
    assert (code, stdout) == (2, "")
    assert said in stderr


def test_without_nodes_it_says_how_to_do_without(shown: Shown, tmp_path: Path) -> None:
    written(tmp_path)
    code, _, stderr = parts(shown("recipe", "plan", "recipe.yml"))
    assert code == 2
    assert "--device-memory" in stderr


def test_a_node_is_asked_and_what_it_does_not_say_is_unknown(shown: Shown, tmp_path: Path) -> None:
    """The node is this machine: it has memory, disk and the base, and no environment of a trainer."""
    written(tmp_path, devices=0, batch=1, model=SMOLLM2, adapter="lora")
    (tmp_path / "inventory.yml").write_text("all:\n  hosts:\n    here:\n      ansible_connection: local\n")
    words = ("recipe", "plan", "recipe.yml", "--nodes", "1", "--set", "environment=none-such", "-i", "inventory.yml")
    code, stdout, _ = parts(shown(*words, "--json"))
    found = json.loads(stdout)
    states = {one["subject"]: one["state"] for one in found["remarks"]}
    assert found["memory"]["limit"] > 1 << 28
    assert states["base"] == "ok"
    assert states["ports"] == "ok"
    assert states["torch"] == "unknown"
    assert code == (4 if found["verdict"] == "does not fit" or "bad" in states.values() else 3)
