"""The line to one node: its channel, while there is one, and what runs there. Used by one thread."""

import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.transport import Channel

from . import lease
from .attempt import Key
from .defects import Setback
from .report import Deposed, Heard, Report, Signed, Silent
from .strand import Reader, Strand
from .text import plain
from .wire import document_of, lines_of, whole

IDLE = 60.0
"""Seconds that a line nobody needs stays open: the next start need not wait for a connection."""

_HEARD_EVERY = 1.0
_BACK_OFF = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between two tries to open it."""
_GIVEN_UP = 5.0
"""Seconds of silence after which its connection is let go and made anew: TCP alone takes half a minute to see."""
_FIRST_WORD = 20.0
"""Seconds that an agent may take until it says something: Python has to start on a node that may be busy."""
_LONGEST = 8 * 1024 * 1024
_FARTHEST = 1 << 44
"""Bytes of output of one rank group, 16 TiB: what comes after is not kept. File systems end there (ext4)."""
_TOLD_AGAIN = 10.0
"""Seconds after which a sign in a kernel's log is told again: to another attempt it is another fault."""


class NodeLine:
    """A line."""

    def __init__(
        self,
        name: str,
        tell: Callable[[Report], None],
        keep: Callable[[Key, str, int, bytes], None],
        reader: Callable[[], Reader],
    ) -> None:
        """Begin without a channel.

        Args:
            name: The node's.
            tell: Takes reports.
            keep: Takes output.
            reader: Makes what reads the kernel's log for signs of faults.
        """
        self.name = name
        self.strands: dict[Key, Strand] = {}
        self.connecting = False
        self._tell = tell
        self._keep = keep
        self._reader = reader
        self._kernel = reader()
        self._signed: float | None = None
        """Since when the reader of the kernel's log has told a sign, which it tells once."""
        self._channel: Channel | None = None
        self._incoming = b""
        self._outgoing = b""
        self._releases: dict[Key, int] = {}
        """Whose each is; -1 where nobody knows."""
        self._boot_id = ""
        self._answered: float | None = None
        """When it was heard last; None before the first word on this channel."""
        self._opened = self._told_heard = self._needed = self._next_try = 0.0
        self._silent = False
        self._failures = 0
        self._setback = Setback()

    # -- what is wanted

    def add(self, strand: Strand, now: float) -> None:
        """Begin with a rank group, unless it is known; it is known once it is sure that it can be told."""
        known = self.strands.get(strand.key)
        if known is None:
            words = lines_of(*strand.orders())
            self.strands[strand.key] = known = strand
            self._say(words)
        elif known.over is not None:
            self._tell(known.over)
        self._needed = now

    def stop(self, key: Key, seconds: float) -> None:
        """Ask one to leave."""
        strand = self.strands.get(key)
        if strand is not None and strand.over is None and strand.stop is None:
            strand.stop = seconds
            self._say(lines_of({"do": "stop", "key": str(key), "seconds": seconds}))

    def kill(self, strand: Strand, now: float) -> None:
        """End one at once, whether it is known here or not."""
        known = self.strands.setdefault(strand.key, strand)
        known.killed = True
        self._needed = now
        self._say(lines_of({"do": "kill", "key": str(known.key), "uid": known.owner}))

    def dump(self, key: Key) -> None:
        """Have the stacks of one written to its log."""
        self._say(lines_of({"do": "dump", "key": str(key)}))

    def release(self, key: Key, now: float) -> None:
        """Forget one."""
        strand = self.strands.pop(key, None)
        owner = strand.owner if strand is not None else -1
        self._needed = now
        if self._channel is None:
            self._releases[key] = owner
        self._say(lines_of(_release(key, owner)))

    # -- the channel

    def wants_channel(self, now: float) -> bool:
        """Whether it is time to open it."""
        needed = self.strands or self._releases
        return bool(needed) and self._channel is None and not self.connecting and now >= self._next_try

    def again(self, key: Key) -> None:
        """Tell the agent of one as if it knew nothing of it."""
        strand = self.strands.get(key)
        if strand is not None:
            self._say(lines_of(*strand.orders()))

    def opened(self, channel: Channel, now: float) -> list[Key]:
        """There is a channel, and its agent is told all; those it cannot be told of, for a defect of ours (`again`)."""
        self.connecting = False
        self.close()
        self._channel, self._incoming, self._outgoing = channel, b"", b""
        self._answered, self._opened = None, now
        untold: list[Key] = []
        for strand in self.strands.values():
            try:
                self._outgoing += lines_of(*strand.orders())
            except Exception:  # noqa: BLE001 - it is this group's alone; whoever tries it again tells of it
                untold.append(strand.key)
        self._say(lines_of(*(_release(key, owner) for key, owner in sorted(self._releases.items()))))
        self._releases.clear()
        return untold

    def failed(self, error: AiopsError, now: float) -> None:
        """It could not be opened."""
        self.connecting = False
        self._broke(error.message, now)

    def hurt(self, why: str, now: float) -> None:
        """Serving it has met a defect of ours: it counts as not heard, and is opened again, each time later.

        The event or piece of output that has met it was counted before it was read, and does not come again.
        """
        self.connecting = False
        with suppress(Exception):  # what is broken may not close either; it is let go of all the same
            self.close()
        self._fall_silent(why, now)
        self._setback = self._setback.again(now)
        self._next_try = self._setback.until

    def close(self) -> None:
        """Let go of the node."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def news(self, now: float) -> None:
        """Take what has come on the channel."""
        while self._channel is not None:
            data = self._channel.receive()
            if data is None:
                said = self._channel.said()
                self._broke(said.splitlines()[-1] if said else "the channel was closed", now)
                return
            if not data:
                break
            self._incoming += data
            *lines, self._incoming = self._incoming.split(b"\n")
            if len(self._incoming) > _LONGEST:
                self._broke("it says something that never ends", now)
                return
            for line in lines:
                self._hear(line, now)
        self._push(now)

    def tick(self, now: float) -> bool:
        """What is due; whether its connection is to be made anew."""
        if self._channel is None:
            return False
        if self.strands:
            self._needed = now
        elif now - self._needed > IDLE:
            self.close()
            return False
        if self._answered is None:
            if now - self._opened > _FIRST_WORD:
                self._broke("nothing came from it", now)
                return True
            return False
        quiet = now - self._answered
        if quiet >= lease.MISSED:
            self._fall_silent(f"nothing came from it for {quiet:.1f} s", now)
        if quiet >= _GIVEN_UP:
            self._broke(f"nothing came from it for {quiet:.1f} s", now)
            return True
        self._push(now)
        return False

    def _broke(self, reason: str, now: float) -> None:
        self.close()
        self._fall_silent(reason, now)
        self._next_try = now + _BACK_OFF[min(self._failures, len(_BACK_OFF) - 1)]
        self._failures += 1

    def _fall_silent(self, reason: str, now: float) -> None:
        if not self._silent:
            self._silent = True
            self._tell(Silent(self.name, now, reason))

    def _say(self, words: bytes) -> None:
        """Send, where there is a channel; what is not sent now is said anew by whoever opens the next one."""
        if self._channel is not None:
            self._outgoing += words
            self._push(None)

    def _push(self, now: float | None) -> None:
        try:
            while self._outgoing and self._channel is not None:
                sent = self._channel.send(self._outgoing)
                if not sent:
                    return
                self._outgoing = self._outgoing[sent:]
        except AiopsError as error:
            if now is not None:
                self._broke(error.message, now)  # otherwise the next look at it finds the same

    # -- what an agent says

    def _hear(self, line: bytes, now: float) -> None:
        words = document_of(line)
        if words is None:
            return
        if "beat" in words:
            self._beat(words, now)
        elif isinstance(words.get("deposed"), int):
            self._tell(Deposed(self.name, now, words["deposed"]))
        elif "kernel" in words:
            self._hear_kernel(words["kernel"], now)
        else:
            strand = self._strand(words.get("key"))
            if strand is not None:
                self._of_strand(strand, words, now)

    def _beat(self, words: Mapping[str, Any], now: float) -> None:
        """Answer: a lease counts from when the agent asked, so a late answer is worth nothing."""
        boot_id = plain(str(words["beat"]), 100)
        if boot_id != self._boot_id:
            self._kernel, self._signed = self._reader(), None
        if self._silent or self._answered is None or boot_id != self._boot_id or now - self._told_heard >= _HEARD_EVERY:
            self._told_heard = now
            self._tell(Heard(self.name, now, boot_id))
        self._boot_id, self._answered, self._silent, self._failures = boot_id, now, False, 0
        self._outgoing += lines_of({"do": "beat", "n": words.get("n")})

    def _strand(self, key: Any) -> Strand | None:
        try:
            return self.strands.get(Key.of(key)) if isinstance(key, str) else None
        except ValueError:
            return None

    def _of_strand(self, strand: Strand, words: Mapping[str, Any], now: float) -> None:
        report: Report | None = None
        if isinstance(words.get("event"), dict):
            report = strand.heard(now, words["event"])
        elif isinstance(words.get("log"), dict):
            self._hear_log(strand, words["log"], now)
        elif words.get("unit") == "gone":
            report = strand.gone(now)
        elif "error" in words:
            report = strand.refused(now, plain(str(words["error"]), 2000), plain(str(words.get("causer", "node")), 100))
        if report is not None:
            self._tell(report)

    def _hear_log(self, strand: Strand, log: Mapping[str, Any], now: float) -> None:
        offset, text = log.get("offset"), log.get("data")
        if not whole(offset, _FARTHEST) or not isinstance(text, str):
            return
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError:
            return
        self._keep(strand.key, self.name, offset, data)
        for sign in strand.signs(now, offset, data):
            self._tell(sign)

    def _hear_kernel(self, line: Any, now: float) -> None:
        if not isinstance(line, str):
            return
        if self._signed is not None and now - self._signed >= _TOLD_AGAIN:
            self._kernel, self._signed = self._reader(), None
        sign = self._kernel(line)
        if sign is not None:
            self._signed = now if self._signed is None else self._signed
            self._tell(Signed(None, self.name, now, sign[0], plain(line, 2000), sign[1], source="kernel"))


def _release(key: Key, owner: int) -> dict[str, Any]:
    return {"do": "release", "key": str(key), "uid": owner}
