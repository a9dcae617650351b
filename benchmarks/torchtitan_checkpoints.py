"""Has torchtitan save, go on and begin anew with the part of ours in its code. Run by the Python of its environment.

    python torchtitan_checkpoints.py CODE FOLDER        prints one line of what went as it was told

CODE holds what a run keeps of the trainer's code. A small model of torchtitan's is saved below FOLDER at steps 4 and 6
with all that training needs, and at 8 as the last step saves it, for others to read.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

LAST = 8


def main(code: str, folder: Path) -> None:
    """Save, go on from what was verified, begin from weights that were exported."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29577", RANK="0", WORLD_SIZE="1", LOCAL_RANK="0")
    sys.path.insert(0, code)
    import torch
    from torch.distributed.checkpoint.stateful import Stateful
    from torchtitan.components.optimizer import LRSchedulersContainer, default_adamw
    from torchtitan.models.llama3 import model_registry
    from torchtitan_recipe import VerifiedCheckpoints

    torch.distributed.init_process_group("gloo")
    torch.manual_seed(1)
    spec = model_registry("debugmodel")
    model = spec.model.build()
    for one in model.parameters():
        torch.nn.init.normal_(one, std=0.02)
    optimizers = default_adamw(lr=1e-3).build(model_parts=[model])
    schedulers = LRSchedulersContainer.Config(warmup_steps=1).build(optimizers=optimizers, training_steps=LAST)

    class State(Stateful):  # type: ignore[misc]
        step = 0

        def state_dict(self) -> dict[str, Any]:
            return {"step": self.step}

        def load_state_dict(self, found: dict[str, Any]) -> None:
            self.step = found["step"]

    state = State()

    def manager(base: Path) -> Any:
        config = VerifiedCheckpoints.Config(
            enable=True,
            folder="checkpoints",
            interval=2,
            keep_latest_k=0,
            initial_load_in_hf=True,
            last_save_in_hf=True,
            export_dtype="float32",
        )
        return config.build(
            dataloader=State(),
            model_parts=[model],
            optimizers=optimizers,
            lr_schedulers=schedulers,
            states={"train_state": state},
            sd_adapter=spec.state_dict_adapter(spec.model, str(base)),
            base_folder=str(folder),
        )

    def weights() -> dict[str, Any]:
        return {name: one.detach().clone() for name, one in model.state_dict().items()}

    def spoil() -> None:
        with torch.no_grad():
            for one in model.parameters():
                one.zero_()

    def same(wanted: dict[str, Any]) -> bool:
        return all(torch.equal(one, wanted[name]) for name, one in model.state_dict().items())

    shutil.rmtree(folder, ignore_errors=True)
    (folder / "base").mkdir(parents=True)
    saving = manager(folder / "base")
    for step in (4, 6):
        state.step = step
        saving.save(step)
    wanted = weights()
    saving.save(LAST, last_step=True)
    spoil()
    os.environ["AIOPS_RESUME"] = str(folder / "checkpoints" / "step-4")  # 6 looks newer and as whole
    found = {"went on": manager(folder / "base").load() and same(wanted) and state.step == 4}  # noqa: PLR2004
    os.environ["AIOPS_RESUME"] = ""
    spoil()
    exported = folder / "exported"
    shutil.copytree(folder / "checkpoints" / f"step-{LAST}", exported)
    found["began anew"] = manager(exported).load() and same(wanted)
    torch.distributed.destroy_process_group()
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
