"""Cases of the end of a run: merging, who leaves before it, and what is found of a finished training; of cases.py."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import tuning_tiny as tiny

Said = dict[str, Any]
LORA = {"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0.0, "targets": [], "layers": None}


class Endings:
    """Such cases; `cases.Cases` has what they share."""

    place: Path
    base: Path
    prompt: Path

    def run(self, name: str, data: Path, world: int = 1, **changes: Any) -> Said:
        """A whole run."""
        raise NotImplementedError

    def again(self, work: Path, world: int = 1) -> Said:
        """Another attempt of a run."""
        raise NotImplementedError

    def merged(self) -> Said:
        """An adapter in the base's files, against what PEFT makes of the two; of a base in parts, in half precision."""
        import torch
        from peft import PeftModel
        from safetensors.torch import load_file
        from transformers import AutoModelForCausalLM

        found: Said = {}
        for name, kind in (("whole", torch.float32), ("parts", torch.bfloat16)):
            base = tiny.make_base(self.place / f"merged-{name}")
            net = AutoModelForCausalLM.from_pretrained(base, dtype=kind)
            (base / "model.safetensors").unlink()
            net.save_pretrained(base, max_shard_size="20KB" if name == "parts" else "1GB")
            work = tiny.write_work(self.place / f"merging-{name}", base, self.prompt, adapter=LORA, merge=True)
            said = self.again(work)
            place = work.parent / "artefact"
            wide = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
            theirs = PeftModel.from_pretrained(wide, str(place / "adapter")).merge_and_unload().to(kind).state_dict()
            ours = {key: one for file in place.glob("merged/*.safetensors") for key, one in load_file(file).items()}
            before = net.state_dict()
            found[name] = {
                "statuses": said["statuses"],
                "files": len(list(place.glob("merged/*.safetensors"))),
                "same": ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours),
                "changed": sum(not torch.equal(ours[key], before[key]) for key in ours),
                "loaded": AutoModelForCausalLM.from_pretrained(place / "merged").dtype == kind,
            }
        return found

    def left_alone(self) -> Said:
        """A merge that lasts: who has nothing to do in it is gone; killed in it, the run goes on there."""
        import worker.artefact
        import worker.judgement
        import worker.main
        import worker.model

        work = tiny.write_work(self.place / "alone", self.base, self.prompt, world=2, sharding="ddp", merge=True)
        merge, judge, load = worker.artefact.merge, worker.judgement.judge, worker.model.load
        begun = self.place / "alone-begun"

        def endless(*_: Any) -> None:
            begun.touch()
            while True:
                time.sleep(0.01)

        worker.artefact.merge = endless
        try:
            first, second = tiny.fork(work, 2)
            (other,) = tiny.ended([second])
            while not begun.exists():
                time.sleep(0.001)
            alive = os.waitpid(first, os.WNOHANG) == (0, 0)
            os.kill(first, signal.SIGKILL)
            (killed,) = tiny.ended([first])
        finally:
            worker.artefact.merge = merge
        lineage = (work.parent / "artefact/lineage.json").exists()

        def forbidden(*_: Any) -> None:
            raise RuntimeError("it was trained or judged again")

        worker.judgement.judge = worker.model.load = forbidden
        try:
            again = self.again(work, 2)
        finally:
            worker.judgement.judge, worker.model.load = judge, load
        plain = self.run("alone-plain", self.prompt, 2, sharding="ddp", merge=True)
        return {
            "other": other,
            "alive": alive,
            "killed": killed,
            "lineage": lineage,
            "again": again,
            "from": _beginnings(work.parent),
            "same": again["weights"] == plain["weights"] != "" and again["losses"] == plain["losses"],
        }

    def let_go(self) -> Said:
        """Whether the model is still there when the adapter is merged, and what is looked through for garbage."""
        import gc
        import weakref

        import worker.artefact
        import worker.model
        from worker.main import main

        load, merge = worker.model.load, worker.artefact.merge
        found: Said = {}

        def loading(*words: Any) -> Any:
            model = load(*words)
            found["net"] = weakref.ref(model.net)
            found["looked_through"] = [gc.isenabled()]
            return model

        def merging(*words: Any) -> None:
            found["there"] = found.pop("net")() is not None
            found["looked_through"].append(gc.isenabled())
            merge(*words)

        worker.model.load, worker.artefact.merge = loading, merging
        try:
            status = main([str(tiny.write_work(self.place / "let-go", self.base, self.prompt, steps=2, merge=True))])
        finally:
            worker.model.load, worker.artefact.merge = load, merge
        return {"status": status, **found}

    def leaving(self) -> Said:
        """A merge that is asked to leave, and done again."""
        import worker.artefact

        asked = self.place / "leave"
        merge = worker.artefact.merge

        def asking(*words: Any) -> None:
            asked.touch()
            merge(*words)

        worker.artefact.merge = asking
        os.environ["AIOPS_STOP"] = str(asked)
        try:
            first = self.run("leaving", self.prompt, merge=True)
        finally:
            worker.artefact.merge = merge
            del os.environ["AIOPS_STOP"]
        return {"first": first, "again": self.again(self.place / "leaving/trainer.json")}

    def gone_back(self) -> Said:
        """A finished run that somebody takes back to an earlier step: it is trained again from there."""
        said = self.run("back", self.prompt, every=6)
        work = self.place / "back/trainer.json"
        statuses = tiny.ended(tiny.fork(work, 1, str(self.place / "back/checkpoints/step-6")))
        return {
            "statuses": [*said["statuses"], *statuses],
            "from": _beginnings(self.place / "back"),
            "same": tiny.weights(self.place / "back/artefact") == said["weights"],
        }


def _beginnings(folder: Path) -> list[int]:
    """From which step each attempt of a run went on."""
    return [json.loads(line)["from_step"] for line in (folder / "attempts.jsonl").read_text().splitlines()]
