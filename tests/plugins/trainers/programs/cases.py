"""Runs of the worker on tiny models, all in one process that has loaded torch once; prints what each came to, as JSON.

PYTHON cases.py CODE PLACE        PYTHON is the trainer environment's, CODE the worker's code laid out
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[4] / "benchmarks"))

import tuning_tiny as tiny
from endings import LORA, Endings

Said = dict[str, Any]
NONE = {**LORA, "kind": "none"}


class Cases(Endings):  # type: ignore[misc]  # it is imported by path, as programs are
    """All of them, with the base and the data that they share."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.base = tiny.make_base(place / "base")
        self.prompt = tiny.prepare(place / "prompt", self.base, tiny.rows_of("prompt", 23))
        tiny.prepare(self.prompt / "evaluation", self.base, tiny.rows_of("prompt", 5, seed=2))
        self.text = tiny.prepare(place / "text", self.base, tiny.rows_of("text", 23))
        self.pairs = tiny.prepare(place / "pairs", self.base, tiny.rows_of("preference", 23))
        self.packed = tiny.prepare(place / "packed", self.base, tiny.rows_of("prompt", 24), packed=3)
        self.apart = tiny.prepare(place / "apart", self.base, tiny.rows_of("prompt", 24))

    def run(self, name: str, data: Path, world: int = 1, **changes: Any) -> Said:
        """A whole run: its end, its losses, and what it left."""
        work = tiny.write_work(self.place / name, self.base, data, world=world, **changes)
        return self.again(work, world)

    def again(self, work: Path, world: int = 1) -> Said:
        """Another attempt of a run."""
        log = work.parent / "rank-0.log"
        before = log.stat().st_size if log.exists() else 0
        statuses = tiny.train(work, world)
        lineage = work.parent / "artefact/lineage.json"
        metrics = work.parent / "metrics.jsonl"
        return {
            "statuses": statuses,
            "losses": [json.loads(line)["loss"] for line in metrics.read_text().splitlines()]
            if metrics.exists()
            else [],
            "words": log.read_text()[before:] if any(statuses) else "",
            "lineage": json.loads(lineage.read_text()) if lineage.exists() else None,
            "weights": tiny.weights(work.parent / "artefact"),
            "checkpoint": tiny.weights(work.parent / "checkpoints"),
        }

    # -- methods and adapters

    def pretrain(self) -> Said:
        return self.run("pretrain", self.text, method="pretrain", form="text", adapter=NONE, rate=1e-2)

    def preference(self) -> Said:
        return self.run("dpo", self.pairs, method="dpo", form="preference", steps=20, rate=1e-2, beta=0.5, adapter=LORA)

    def preference_of_all_weights(self) -> Said:
        return self.run("dpo-all", self.pairs, method="dpo", form="preference", adapter=NONE, rate=1e-3)

    def four_bits(self) -> Said:
        adapter = {**LORA, "kind": "qlora"}
        return self.run("qlora", self.prompt, adapter=adapter, merge=True, simulated=True)

    def last_layer(self) -> Said:
        said = self.run("last", self.prompt, adapter={**LORA, "layers": 1, "targets": ["q_proj"]}, recompute=True)
        from safetensors import safe_open

        with safe_open(self.place / "last/artefact/adapter/adapter_model.safetensors", "pt") as opened:
            return {**said, "names": sorted(opened.keys())}

    def optimizers(self) -> Said:
        found = {}
        for name in ("adamw", "adamw-8bit", "adafactor", "sgd"):
            whole = self.run(f"whole-{name}", self.prompt, optimizer=name)
            stopped = self.stopped(f"stopped-{name}", optimizer=name)
            same = whole["weights"] == stopped["weights"]
            found[name] = {"statuses": whole["statuses"] + stopped["statuses"], "same": same, "losses": whole["losses"]}
        return found

    def uncopied(self) -> Said:
        """What is written of an optimizer's state: its own tensors, and a copy only where two are one."""
        import torch
        from worker.optimizer import remembered

        trained = {name: torch.nn.Parameter(torch.ones(3)) for name in "ab"}
        optimizer = torch.optim.AdamW(trained.values())
        sum(one.sum() for one in trained.values()).backward()
        optimizer.step()
        tensors, _ = remembered(optimizer, trained)
        own = {value.data_ptr() for state in optimizer.state.values() for value in state.values()}
        inside = sum(one.data_ptr() in own for one in tensors.values())
        for state in optimizer.state.values():
            state["exp_avg"] = optimizer.state[trained["a"]]["exp_avg"]
        again, _ = remembered(optimizer, trained)
        copies = sum(one.data_ptr() not in own for one in again.values())
        return {"tensors": len(tensors), "own": inside, "shared": copies}

    def large(self) -> Said:
        """All weights, of which two have more than the 4096 numbers from which bitsandbytes keeps blocks."""
        whole = self.run("large", self.prompt, optimizer="adamw-8bit", adapter=NONE, rate=1e-3)
        if any(whole["statuses"]):  # nothing to stop, which would be waited for
            return {**whole, "same": False}
        stopped = self.stopped("large-stopped", optimizer="adamw-8bit", adapter=NONE, rate=1e-3)
        same = whole["weights"] == stopped["weights"]
        return {"statuses": whole["statuses"] + stopped["statuses"], "words": whole["words"], "same": same}

    def split(self) -> Said:
        """FSDP2 over gloo, against replicas, both of all weights."""
        one = self.run("replicas", self.prompt, 2, adapter=NONE, sharding="ddp", rate=1e-3)
        other = self.run("split", self.prompt, 2, adapter=NONE, sharding="fsdp", rate=1e-3)
        return {"replicas": one, "split": other}

    def tied(self) -> Said:
        """Split weights of which the output's are the input's."""
        from transformers import LlamaForCausalLM

        base = tiny.make_base(self.place / "tied")
        net = LlamaForCausalLM.from_pretrained(base)
        net.config.tie_word_embeddings = True
        net.lm_head.weight = net.model.embed_tokens.weight
        net.save_pretrained(base)
        work = tiny.write_work(
            self.place / "tied-run", base, self.prompt, world=2, adapter=NONE, sharding="fsdp", rate=1e-3
        )
        return self.again(work, 2)

    # -- going on

    def killed(self) -> Said:
        return dict(tiny.exact(self.place / "killed", runs=1, kills=4, world=2, steps=16, seed=5))

    def stopped(self, name: str = "stopped", **changes: Any) -> Said:
        """A run that is asked to leave after some steps, and goes on."""
        work = tiny.write_work(self.place / name, self.base, self.prompt, **changes)
        asked = work.parent / "stop"
        os.environ["AIOPS_STOP"] = str(asked)
        try:
            numbers = tiny.fork(work)
            while not (work.parent / "checkpoints/step-3").exists():
                time.sleep(0.001)
            asked.touch()
            first = tiny.ended(numbers)
            asked.unlink()
        finally:
            del os.environ["AIOPS_STOP"]
        before = (work.parent / "artefact").exists()
        said = self.again(work)
        return {**said, "statuses": first + said["statuses"], "early": before}

    def samples_of_another_seed(self) -> Said:
        one = self.run("seed-7", self.prompt, steps=3)
        other = self.run("seed-8", self.prompt, steps=3, seed=8)
        same = tiny.samples(self.place / "seed-7") == tiny.samples(self.place / "seed-8")
        return {"statuses": one["statuses"] + other["statuses"], "same": same}

    def changed(self) -> Said:
        """A resume with another base, data, recipe or code, each by itself; and with each allowed."""
        work = tiny.write_work(self.place / "changed", self.base, self.prompt, steps=6)
        first = self.again(work)
        plain = json.loads(work.read_text())
        found: Said = {"first": first["statuses"]}
        for cause in plain["digests"]:
            for allowed in ([], [cause]):
                said = {**plain, "digests": {**plain["digests"], cause: "0" * 64}, "allowed": allowed}
                work.write_text(json.dumps(said))
                again = self.again(work)
                found[f"{cause} allowed" if allowed else cause] = {
                    "statuses": again["statuses"],
                    "words": again["words"],
                    "same": again["checkpoint"] == first["checkpoint"],
                }
        work.write_text(json.dumps({**plain, "world": 2}))
        again = self.again(work, 2)
        return {**found, "world": {"statuses": again["statuses"], "words": again["words"]}}

    # -- what is calculated

    def precision(self) -> Said:
        """In which type the output is calculated, in steps, for what is held out, and for answers."""
        import torch
        from worker import ranks, work
        from worker.judgement import judge
        from worker.loop import Loop
        from worker.model import load
        from worker.samples import Samples
        from worker.template import serving_tokenizer

        asked = self.place / "asked-half.jsonl"
        asked.write_text(json.dumps({"prompt": "0: iron?", "completion": "iron"}) + "\n")
        told = work.read(
            tiny.write_work(
                self.place / "half",
                self.base,
                self.prompt,
                steps=2,
                adapter=NONE,
                precision="bf16",
                held_out=True,
                questions=str(asked),
            )
        )
        here = ranks.Ranks(0, 1, torch.device("cpu"))
        model = load(told, here)
        seen: list[str] = []
        model.net.get_output_embeddings().register_forward_hook(lambda _, __, out: seen.append(str(out.dtype)))
        loop = Loop(told, here, model, Samples(self.prompt, "prompt", packed=False))
        loop.run()
        trained = set(seen)
        seen.clear()
        judge(loop, serving_tokenizer(told))
        return {"trained": sorted(trained), "judged": sorted(set(seen)), "times": len(seen)}

    def sums(self) -> Said:
        """The loss of rows that share samples, that are filled up, and that are alone."""
        import torch
        from worker import ranks, work
        from worker.batch import batch_of
        from worker.loss import token_loss
        from worker.model import load
        from worker.samples import Samples

        path = tiny.write_work(self.place / "sums", self.base, self.packed, packed=True, adapter=NONE)
        found: Said = {}
        for attention in ("sdpa", "eager"):
            told = replace(work.read(path), attention=attention)
            net = load(told, ranks.Ranks(0, 1, torch.device("cpu"))).net
            packed = Samples(self.packed, "prompt", packed=True)
            apart = Samples(self.apart, "prompt", packed=False)
            shared = [one for number in range(len(packed)) for one in packed.sequences(number)]
            alone = [one for number in range(len(apart)) for one in apart.sequences(number)]
            crossing = [replace(one, segments=None) for one in shared]

            def of(sequences: Any, net: Any = net, *, flat: bool = False) -> float:
                return float(token_loss(net, batch_of(sequences, "cpu", flat=flat)))

            with torch.no_grad():
                found[attention] = {
                    "alone": sum(of([one]) for one in alone),
                    "filled": of(alone),
                    "shared": of(shared),
                    "flat": of(shared, flat=True),
                    "crossing": of(crossing),
                    "counted": int(sum(one.counted.sum() for one in alone)),
                    "counted_shared": batch_of(shared, "cpu").counted,
                }
        return found

    def preference_by_hand(self) -> Said:
        """DPO's loss of two models, against sums of logarithms of single tokens."""
        import numpy as np
        import torch
        from worker.batch import batch_of
        from worker.loss import logits_of, preference_loss
        from worker.model import base_of
        from worker.ranks import Ranks
        from worker.samples import Samples
        from worker.work import read

        told = read(tiny.write_work(self.place / "hand", self.base, self.pairs, adapter=NONE))
        other = tiny.make_base(self.place / "other", seed=2)
        here = Ranks(0, 1, torch.device("cpu"))
        net, still = base_of(replace(told, base=str(other)), torch.float32, here), base_of(told, torch.float32, here)
        samples = Samples(self.pairs, "preference", packed=False)
        pairs = [samples.sequences(number) for number in range(4)]
        with torch.no_grad():
            flat = batch_of([one for pair in pairs for one in pair], "cpu")
            loss, _ = preference_loss(net, lambda batch: logits_of(still, batch), flat, 0.5)

        def logarithm(model: Any, one: Any) -> float:
            with torch.no_grad():
                logits = model(torch.tensor(one.tokens)[None]).logits[0].double()
            each = logits.log_softmax(-1)
            return sum(float(each[place - 1, one.tokens[place]]) for place in np.flatnonzero(one.counted))

        by_hand = 0.0
        for chosen, rejected in pairs:
            margin = (logarithm(net, chosen) - logarithm(still, chosen)) - (
                logarithm(net, rejected) - logarithm(still, rejected)
            )
            by_hand += float(np.log1p(np.exp(-0.5 * margin)))
        return {"loss": float(loss), "by_hand": by_hand}

    def judged(self) -> Said:
        asked = self.place / "asked.jsonl"
        asked.write_text(json.dumps({"prompt": "0: iron?", "completion": "never said"}) + "\n")
        return self.run(
            "judged", self.prompt, 2, steps=4, sharding="ddp", held_out=True, questions=str(asked), right=1.0
        )

    def diverged(self) -> Said:
        """A rate that no model survives."""
        return self.run("diverged", self.prompt, 2, optimizer="sgd", adapter=NONE, rate=1e30, warmup=0, sharding="ddp")

    def nothing_held_out(self) -> Said:
        """A part that is held out, and has no rows."""
        bare = tiny.prepare(self.place / "bare", self.base, tiny.rows_of("prompt", 5))
        tiny.prepare(bare / "evaluation", self.base, [])
        return self.run("bare-run", bare, steps=2, held_out=True)

    # -- templates

    def swapped(self) -> Said:
        """A template other than the data's: before the first step, and after the last one."""
        own = self.place / "own.jinja"
        own.write_text(tiny.CHATML)
        first = self.run("own", self.prompt, steps=3, template=str(own), merge=True)
        kept = (self.place / "own/artefact/merged/chat_template.jinja").read_text() == tiny.CHATML
        own.write_text(tiny.CHATML.replace("<|im_start|>' + message['role']", "<|im_start|>' + message['role'] + ':'"))
        before = self.run("other", self.prompt, steps=3, template=str(own))
        (self.place / "own/artefact/lineage.json").unlink()
        after = self.again(self.place / "own/trainer.json")
        return {"first": first, "kept": kept, "before": before, "after": after}

    def broken_question(self) -> Said:
        asked = self.place / "broken.jsonl"
        asked.write_text('{"prompt": "one"}\n')
        return self.run("broken", self.prompt, steps=2, questions=str(asked))


NAMES = (
    *(
        "pretrain",
        "preference",
        "preference_of_all_weights",
        "four_bits",
        "last_layer",
        "optimizers",
        "uncopied",
        "large",
        "split",
        "tied",
    ),
    *("killed", "stopped", "samples_of_another_seed", "changed"),
    *("merged", "left_alone", "let_go", "leaving", "gone_back", "precision"),
    *("sums", "preference_by_hand", "judged", "diverged", "nothing_held_out", "swapped", "broken_question"),
)


def main(code: str, place: str, *only: str) -> int:
    """Run them."""
    signal.alarm(900)
    random.seed(1)
    tiny.begin(Path(code), Path(place))
    cases = Cases(Path(place))
    found: Said = {}
    for name in only or NAMES:
        case: Callable[[], Said] = getattr(cases, name)
        begun = time.monotonic()
        try:
            found[name] = case()
        except Exception:  # noqa: BLE001 - the others are to be seen too
            found[name] = {"error": traceback.format_exc()}
        print(name, round(time.monotonic() - begun, 1), file=sys.stderr, flush=True)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
