"""What a process of a run does, from its beginning to its end."""

import ctypes
import gc
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from aiops import checkpoint

from .attempts import begin_attempt
from .merge import refuse_unmergeable
from .questions import questions
from .trained import Trained
from .work import LeaveError, RefusedError, Work, read, refuse_changed

REFUSED = 2


def main(words: Sequence[str] | None = None) -> int:
    """Run what the file that is named on the command line says; the exit status."""
    words = sys.argv[1:] if words is None else words
    if len(words) != 1:
        print("usage: train.py RUN/trainer.json", file=sys.stderr)  # noqa: T201 - the log
        return REFUSED
    try:
        _run(read(Path(words[0])))
    except RefusedError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201 - the log
        return REFUSED
    except LeaveError:
        print("asked to leave: whoever goes on begins with handing on the tuned model", flush=True)  # noqa: T201
    return 0


def _run(work: Work) -> None:
    # What is imported and loaded stays: looking through it for garbage again and again is a quarter of each start.
    gc.disable()
    checkpoint.progress(0, phase="start", total=work.steps)
    checkpoint.watch_stop()
    found = checkpoint.latest(work.checkpoints)
    source = Path(found) if found else None
    # Before anything heavy is loaded: what may not go on says so at once.
    step = refuse_changed(work, source) if source else 0
    if work.questions:
        questions(Path(work.questions))
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if work.threads:
        os.environ["OMP_NUM_THREADS"] = str(work.threads)
    if "peft" not in sys.modules and work.adapter["kind"] != "qlora" and work.optimizer != "adamw-8bit":
        # PEFT imports it where it is, and with it torch's compiler: half a second of each start, for nothing here.
        sys.modules["bitsandbytes"] = None  # type: ignore[assignment]
    trained = _train(work, source, step)
    _give_back()
    if trained is not None:
        from .artefact import finish
        from .trace import read as read_trace

        finish(work, trained, read_trace(Path(work.folder, "metrics.jsonl")))
        print(f"done: {work.artefact}", flush=True)  # noqa: T201 - the log


def _give_back() -> None:
    """Give back the memory of the training: merging is to have it, and whoever else is on the node."""
    gc.unfreeze()  # a model is a ring of references
    gc.enable()
    gc.collect()
    # The C library keeps what was freed (malloc_trim(3), glibc's); where there is another one it is left to that.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _train(work: Work, source: Path | None, step: int) -> Trained | None:
    """Train to the end; on the first rank what came of it, None where it was asked to stop before, and on others.

    The others leave as soon as they have given what they hold of the tuned weights: nobody waits for what the first
    rank does with them.
    """
    import torch

    # Of libraries that call each other by names that are going: nothing that whoever reads the log could change.
    warnings.filterwarnings("ignore", category=FutureWarning)
    from . import judgement, ranks, template, trained, tuned
    from .loop import Loop
    from .model import load
    from .samples import Samples

    if not work.devices:
        # On processors a run is the same in all bits, whoever goes on with it: for that the threads must be as many.
        torch.set_num_threads(work.threads or 1)
        torch.use_deterministic_algorithms(mode=True)
    here = ranks.meet(work)
    if here.first:
        begin_attempt(Path(work.folder), step)
    # One looks for all: on a shared folder another node may not see yet what was written just now.
    done, *_ = here.gather(trained.read(work, step) if here.first else None)
    if done is not None:
        ranks.part(here)
        return done if here.first else None
    if here.first:
        trained.forget(work)
        if source is None:
            template.compare(work, template.serving_tokenizer(work))
    model = load(work, here)
    refuse_unmergeable(work, model.trained)
    samples = Samples(Path(work.data), work.form, packed=work.packed)
    loop = Loop(work, here, model, samples)
    if source:
        loop.resume(source, step)
    gc.freeze()
    gc.enable()
    if not loop.run():
        ranks.part(here)
        return None
    loop.let_go()
    said = judgement.judge(loop, template.serving_tokenizer(work))
    weights = tuned.gathered(work, here, model)
    ranks.part(here)
    if not here.first:
        return None
    found = Trained(tuned.write(work, model, weights), said)
    trained.write(work, found)
    return found
