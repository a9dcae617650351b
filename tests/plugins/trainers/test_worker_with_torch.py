"""The worker on tiny models: whole runs, kills, resumes and refusals, in one process of the trainer's environment.

    pytest -m torch tests/plugins/trainers        AIOPS_TRAINER=FOLDER takes an environment that is there

The environment is made once below AIOPS_TEST_HOME (1.6 GB, some minutes); all cases together take 20 s after that.
"""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from benchmarks.tuning_environment import made_environment

from aiops.layers.core.home import ensure_folder
from aiops.plugins.trainers.transformers import TransformersTrainer

pytestmark = [pytest.mark.torch, pytest.mark.timeout(1800)]

CASES = Path(__file__).with_name("programs") / "cases.py"
METHODS = ("pretrain", "preference", "preference_of_all_weights", "four_bits", "last_layer")
Said = Mapping[str, Any]


@pytest.fixture(scope="session")
def said(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What each case came to."""
    if platform.machine() != "x86_64" or not Path("/usr/bin/python3.11").exists():
        pytest.skip("the lock file of the trainer's environment is for Python 3.11 on x86_64")
    home = ensure_folder(Path(os.environ.get("AIOPS_TEST_HOME", "/var/tmp/aiops-tests")))
    place = tmp_path_factory.mktemp("worker")
    for name, content in TransformersTrainer().code().items():
        path = place / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    done = subprocess.run(
        [str(made_environment(home) / "bin/python"), str(CASES), str(place / "code"), str(place / "runs")],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: Said = json.loads(done.stdout.splitlines()[-1])
    broken = {name: one["error"] for name, one in found.items() if "error" in one}
    assert not broken, "\n".join(broken.values())
    return found


@pytest.mark.parametrize("name", METHODS)
def test_methods_run_to_the_end_and_learn(said: Said, name: str) -> None:
    one = said[name]
    assert one["statuses"] == [0]
    assert one["lineage"]["steps"] == len(one["losses"])
    if name != "last_layer":  # one small matrix of a random model learns next to nothing
        assert sum(one["losses"][-3:]) < 0.99 * sum(one["losses"][:3])


def test_an_artefact_says_all_that_made_it(said: Said) -> None:
    lineage = said["four_bits"]["lineage"]
    assert lineage["parts"] == {"adapter": "adapter", "merged": "merged"}
    digests = [lineage[one]["digest"] for one in ("base", "data", "recipe", "code")]
    assert digests == [letter * 64 for letter in "bdec"]
    assert {"adapter/adapter_model.safetensors", "merged/model.safetensors"} <= {
        one["path"] for one in lineage["files"]
    }
    assert lineage["versions"]["torch"].startswith("2.")
    assert lineage["template_rows_compared"] > 0
    assert lineage["checkpoints"][-1] == "step-12"
    assert lineage["simulated"] is True


def test_the_reference_of_preferences_is_what_it_began_as(said: Said) -> None:
    """Both say the same before the first step, so its loss is ln 2; the first step of a warmup changes nothing."""
    for name in ("preference", "preference_of_all_weights"):
        assert said[name]["losses"][0] == pytest.approx(0.693147, abs=1e-6)
        assert said[name]["losses"][1] == said[name]["losses"][0]


def test_the_loss_of_preferences_is_the_published_one(said: Said) -> None:
    one = said["preference_by_hand"]
    assert one["loss"] == pytest.approx(one["by_hand"], rel=1e-5)
    assert one["by_hand"] > 0


def test_only_the_layers_and_targets_that_are_named_get_an_adapter(said: Said) -> None:
    assert said["last_layer"]["names"] == [
        f"base_model.model.model.layers.1.self_attn.q_proj.lora_{one}.weight" for one in "AB"
    ]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_rows_that_share_a_sample_do_not_see_each_other(said: Said, attention: str) -> None:
    one = said["sums"][attention]
    assert one["counted"] == one["counted_shared"]
    for way in ("filled", "shared", "flat"):
        assert one[way] == pytest.approx(one["alone"], rel=1e-6)
    assert abs(one["crossing"] - one["alone"]) > 1e-5 * one["alone"]


def test_weights_that_are_split_learn_as_replicas_do(said: Said) -> None:
    one, other = said["split"]["replicas"], said["split"]["split"]
    assert one["statuses"] == other["statuses"] == [0, 0]
    assert other["losses"] == pytest.approx(one["losses"], rel=1e-4)


def test_weights_that_are_tied_and_split_are_written_once(said: Said) -> None:
    assert said["tied"]["statuses"] == [0, 0], said["tied"]["words"]


def test_runs_that_were_killed_end_with_the_same_bits_and_samples(said: Said) -> None:
    for one in said["killed"]["runs"]:
        assert one["kills"] == 4
        assert one["samples"]
        assert one["weights"]


def test_a_run_that_is_asked_to_leave_saves_and_goes_on(said: Said) -> None:
    one = said["stopped"]
    assert one["statuses"] == [0, 0]
    assert not one["early"]
    assert one["losses"] == said["optimizers"]["adamw"]["losses"]


@pytest.mark.parametrize("name", ["adamw", "adamw-8bit", "adafactor", "sgd"])
def test_optimizers_go_on_where_they_were(said: Said, name: str) -> None:
    one = said["optimizers"][name]
    assert one["statuses"] == [0, 0, 0]
    assert one["same"]


def test_state_that_weights_share_is_saved_and_read(said: Said) -> None:
    one = said["large"]
    assert one["statuses"] == [0, 0, 0], one["words"]
    assert one["same"]


@pytest.mark.parametrize(("name", "files"), [("whole", 1), ("parts", 2)])
def test_an_adapter_is_merged_as_peft_does_it_without_the_model_in_memory(said: Said, name: str, files: int) -> None:
    one = said["merged"][name]
    assert one["statuses"] == [0]
    assert one["files"] >= files
    assert one["changed"] == 2 * 7  # layers, and linear layers in each
    assert one["same"]
    assert one["loaded"]


def test_ranks_leave_before_the_merge_and_a_run_that_is_killed_in_it_goes_on_there(said: Said) -> None:
    one = said["left_alone"]
    assert (one["other"], one["alive"], one["killed"], one["lineage"]) == (0, True, -9, False)
    assert one["again"]["statuses"] == [0, 0], one["again"]["words"]
    assert one["again"]["lineage"]["parts"] == {"adapter": "adapter", "merged": "merged"}
    assert one["from"] == [0, 12]
    assert one["same"]


def test_the_model_is_let_go_before_the_merge(said: Said) -> None:
    assert said["let_go"] == {"status": 0, "there": False, "looked_through": [False, True]}


def test_a_checkpoint_copies_no_state_of_the_optimizer(said: Said) -> None:
    assert said["uncopied"] == {"tensors": 6, "own": 6, "shared": 1}


def test_a_merge_that_is_asked_to_leave_leaves_and_is_done_again(said: Said) -> None:
    one = said["leaving"]
    assert one["first"]["statuses"] == one["again"]["statuses"] == [0]
    assert one["first"]["lineage"] is None
    assert one["again"]["lineage"]["parts"]["merged"] == "merged"


def test_a_finished_run_that_is_taken_back_is_trained_again(said: Said) -> None:
    assert said["gone_back"] == {"statuses": [0, 0], "from": [0, 6], "same": True}


def test_what_was_trained_is_judged_in_the_same_precision(said: Said) -> None:
    one = said["precision"]
    assert one["trained"] == one["judged"] == ["torch.bfloat16"]
    assert one["times"] > 5  # samples that are held out, and tokens of an answer


def test_another_seed_reads_other_samples(said: Said) -> None:
    """So that two equal traces say something."""
    assert said["samples_of_another_seed"] == {"statuses": [0, 0], "same": False}


@pytest.mark.parametrize("cause", ["base", "data", "recipe", "code"])
def test_a_resume_with_something_else_is_refused(said: Said, cause: str) -> None:
    one = said["changed"][cause]
    assert one["statuses"] == [2]
    assert f"the {cause} is another" in one["words"]
    others = {"base", "data", "recipe", "code"} - {cause}
    assert not any(f"the {other} is another" in one["words"] for other in others)
    assert one["same"]
    assert said["changed"][f"{cause} allowed"]["statuses"] == [0]


def test_a_resume_on_another_number_of_processes_is_refused(said: Said) -> None:
    one = said["changed"]["world"]
    assert one["statuses"] == [2, 2]
    assert "written by 1 processes, and these are 2" in one["words"]


def test_what_does_not_answer_as_wanted_has_not_passed(said: Said) -> None:
    one = said["judged"]
    assert one["statuses"] == [0, 0]
    told = one["lineage"]["evaluation"]
    assert (told["passed"], told["asked"], told["right"]) == (False, 1, 0)
    assert 0 < told["held_out_loss"] < 10


def test_what_is_asked_nothing_has_neither_passed_nor_failed(said: Said) -> None:
    assert said["pretrain"]["lineage"]["evaluation"]["passed"] is None


def test_a_part_without_rows_is_not_judged(said: Said) -> None:
    one = said["nothing_held_out"]
    assert one["statuses"] == [0]
    assert one["lineage"]["evaluation"] == {"passed": None}


def test_a_run_that_diverges_is_refused_before_its_weights_are_touched(said: Said) -> None:
    one = said["diverged"]
    assert one["statuses"] == [2, 2]
    assert "error: step 2: the " in one["words"]
    assert "diverged" in one["words"]
    assert len(one["losses"]) == 1
    assert one["lineage"] is None
    assert not one["checkpoint"]


def test_a_template_that_was_swapped_is_caught_before_the_first_step_and_before_handing_on(said: Said) -> None:
    one = said["swapped"]
    assert one["first"]["statuses"] == [0]
    assert one["kept"]
    for when in ("before", "after"):
        assert one[when]["statuses"] == [2]
        assert one[when]["lineage"] is None
        assert "made.jsonl:1: the template or the tokenizer is not the one of the prepared data" in one[when]["words"]
    assert one["before"]["losses"] == []


def test_a_question_without_an_answer_is_told_before_the_first_step(said: Said) -> None:
    one = said["broken_question"]
    assert one["statuses"] == [2]
    assert "broken.jsonl:1: no question" in one["words"]
    assert one["losses"] == []
