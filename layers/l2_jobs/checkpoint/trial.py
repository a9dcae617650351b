"""Level `TRIAL`: the job's own Python loads the checkpoint, on the node where it would."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aiops.layers.core.command import Command
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l1_cluster.script import answer_of, program

from .checkpoint import Checkpoint, Level
from .reader import Seen

_MODULES = ("values", "opcodes", "archive", "distributed", "trial")
_LOADED = ("torch", "safetensors", "dcp")
_SECONDS = 600.0
_SLOWEST = 20e6


def tried(transport: Transport, python: Sequence[str], seen: Seen) -> Checkpoint:
    """`seen.checkpoint` after a trial load; one that is not proved stays as it is.

    Args:
        transport: The node, as the user of the connection.
        python: The job's interpreter, with torch.
        seen: What was looked at at level `MANIFEST`.

    Raises:
        UnreachableError: The node does not answer.
        FailedError: It answers something else.
    """
    if not seen.checkpoint.proved:
        return seen.checkpoint
    asked = [{"path": one.path, "how": one.how} for one in seen.format.readings(seen.place) if one.how in _LOADED]
    base = f"{seen.listing.root}/{seen.place.base}" if seen.place.base else seen.listing.root
    call = f"main(*_sys.modules['json'].loads({json.dumps(json.dumps([base, asked]))}))"
    source = program(_MODULES, call, "aiops.layers.l2_jobs.checkpoint")
    seconds = _SECONDS + seen.place.size / _SLOWEST
    done = transport.run(Command((*python, "-"), stdin=source.encode(), timeout=seconds))
    if done.timed_out:
        return _unknown(seen.checkpoint, f"loading it did not end within {seconds:.0f} s")
    if not done.ok:
        said = done.error_text.rpartition("\n")[2] or f"exit status {done.exit_status}"
        return _unknown(seen.checkpoint, f"the trial could not be made: {said}")
    return judged_trial(seen.checkpoint, answer_of(transport.node, done, "checkpoint.garbled", dict))


def judged_trial(checkpoint: Checkpoint, told: dict[str, Any]) -> Checkpoint:
    """What a trial makes of a checkpoint. Pure."""
    failed = {str(path): str(words) for path, words in told["failed"].items()}
    untried = [f"{path} {words}" for path, words in failed.items() if words.startswith("cannot be tried")]
    if untried:
        return _unknown(checkpoint, untried[0])
    if failed:
        words = "; ".join(f"{path} {words}" for path, words in failed.items())
        return replace(checkpoint, level=Level.TRIAL, verified=False, why=words)
    return replace(checkpoint, level=Level.TRIAL)


def _unknown(checkpoint: Checkpoint, why: str) -> Checkpoint:
    return replace(checkpoint, level=Level.TRIAL, verified=False, why=why, doubt="unknown")
