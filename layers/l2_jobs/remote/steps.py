"""Where ranks are: the newest word of each, told at most once a second, and the last of them always.

Standard library only, Python 3.6, imports nothing of ours.
"""

import json
from typing import Any, Dict, List, Optional, Tuple

EVERY = 1.0
"""Seconds between two words about one rank."""

_PHASES = ("start", "step", "save", "evaluate")
_RANKS = 4096
"""So many ranks of one node are listened to: what a program says must not fill our memory."""


def read(datagram: bytes, first_rank: int) -> Optional[Dict[str, Any]]:
    """What a program tells of its progress; None where it is nothing that we understand.

    Args:
        datagram: One JSON document: `step`, and perhaps `loss`, `phase`, `total`, `rank`, and `tokens` since the last.
        first_rank: Whose it is where it does not say.
    """
    try:
        said = json.loads(datagram.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not _whole(said.get("step")):
        return None
    event = {"kind": "stepped", "step": said["step"], "rank": first_rank, "phase": "step"}
    if _whole(said.get("rank")):
        event["rank"] = said["rank"]
    if said.get("phase") in _PHASES:
        event["phase"] = said["phase"]
    if _whole(said.get("total")):
        event["total"] = said["total"]
    for name in ("loss", "tokens"):
        if isinstance(said.get(name), (int, float)) and not isinstance(said[name], bool):
            try:
                event[name] = float(said[name])
            except OverflowError:
                pass  # a number of hundreds of digits is no loss
    return event


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**18


class Steps(object):
    """The newest word of each rank, and which of them are to be told."""

    def __init__(self) -> None:
        self.newest: Dict[int, Dict[str, Any]] = {}
        self._told: Dict[int, float] = {}
        self._tokens: Dict[int, float] = {}
        """Of each rank that tells them, all so far."""
        self._waiting: Any = set()
        self._telling: Any = set()
        """Ranks that have told a step themselves."""
        self._stepped: Dict[int, Tuple[int, float]] = {}
        """Of each rank that has told nothing but steps since: its last, and when."""

    def note(self, event: Dict[str, Any], now: Optional[float] = None) -> None:
        """A rank has told where it is.

        Args:
            event: Its word; what its last step took is added.
            now: When it came; None where that says nothing of when the step was made.
        """
        rank = event["rank"]
        if rank in self.newest or len(self.newest) < _RANKS:
            # Programs tell what came since their last word. Not each of these is told: so all of them together are.
            if "tokens" in event:
                self._tokens[rank] = self._tokens.get(rank, 0.0) + event["tokens"]
            if rank in self._tokens:
                event = dict(event, tokens=self._tokens[rank])
            if now is not None:
                event = self._timed(event, now)
            self.newest[rank] = event
            self._waiting.add(rank)
            if event.get("phase") == "step" and not event.get("printed"):
                self._telling.add(rank)

    def _timed(self, event: Dict[str, Any], now: float) -> Dict[str, Any]:
        """It with the seconds of its step, where only steps were told since the one before: no save, no evaluation."""
        rank, step = event["rank"], event["step"]
        before = self._stepped.pop(rank, None)
        if event.get("phase") != "step":
            return event
        self._stepped[rank] = (step, now)
        if before is None or step <= before[0] or now <= before[1]:
            return event
        return dict(event, seconds=(now - before[1]) / (step - before[0]))

    def read_of_output(self, event: Dict[str, Any]) -> None:
        """A line of a rank's output names a step.

        Output comes later than what the rank tells itself: the line of a step that it has told of, or a save or an
        evaluation after it, has nothing new but perhaps the loss. Where the rank never tells a step itself, that its
        steps are only `printed` is told too.
        """
        rank = event["rank"]
        told = self.newest.get(rank)
        if told is None or event["step"] > told["step"] or (told["phase"] == "step" and rank not in self._telling):
            self.note(event if rank in self._telling else dict(event, printed=True))
        elif "loss" in event and "loss" not in told and event["step"] == told["step"]:
            self.note(dict(told, loss=event["loss"]))

    def due(self, now: float) -> List[Dict[str, Any]]:
        """What is to be told now."""
        found = [rank for rank in self._waiting if now - self._told.get(rank, now - EVERY) >= EVERY]
        for rank in found:
            self._told[rank] = now
            self._waiting.discard(rank)
        return [self.newest[rank] for rank in sorted(found)]
