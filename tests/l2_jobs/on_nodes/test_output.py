"""Lines of several ranks in one log, whatever pieces they come in."""

import os
import subprocess
import threading
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.l2_jobs.remote.output import Output, Ranks, Source, number


class Kept:
    """What was written, and the steps that were seen."""

    def __init__(self, regex: str | None = None) -> None:
        self.data = b""
        self.steps: list[tuple[int | None, int, float | None]] = []
        self.output = Output(self.write, self.stepped, regex)
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        with self._lock:
            self.data += data

    def stepped(self, rank: int | None, step: int, loss: float | None) -> None:
        self.steps.append((rank, step, loss))


LINES = st.lists(st.text(alphabet="abc \r[]:é", max_size=20), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_every_line_is_whole_and_bears_its_rank(texts: list[list[str]], random: object) -> None:
    kept = Kept()
    sources = [Source(rank, b"[rank%d]: " % rank) for rank in range(len(texts))]
    left = [("\n".join(lines) + "\n").encode() for lines in texts]
    while any(left):
        chosen = random.randrange(len(left))  # type: ignore[attr-defined]
        size = random.randrange(1, 9)  # type: ignore[attr-defined]
        piece, left[chosen] = left[chosen][:size], left[chosen][size:]
        if piece:
            kept.output._take(sources[chosen], piece)
    for source, lines in zip(sources, texts, strict=True):
        own = [line[len(source.prefix) :] for line in kept.data.split(b"\n") if line.startswith(source.prefix)]
        assert own == [line.encode() for line in lines]


def test_what_torch_has_marked_is_not_marked_twice() -> None:
    kept = Kept()
    kept.output._take(Source(1, b"[rank1]: "), b"[rank1]: Traceback (most recent call last):\nhere\n")
    assert kept.data == b"[rank1]: Traceback (most recent call last):\n[rank1]: here\n"


def test_an_unfinished_line_gets_no_neighbour() -> None:
    kept = Kept()
    one, two = Source(0, b"[rank0]: "), Source(1, b"[rank1]: ")
    kept.output._take(one, b"50%|")
    kept.output._flush(one)
    kept.output._take(two, b"hello\n")
    kept.output._take(one, b"60%|\n")
    assert kept.data == b"[rank0]: 50%|\n[rank1]: hello\n[rank0]: 60%|\n"


def test_steps_are_found_in_bars_too() -> None:
    kept = Kept(r"step (?P<step>[\d,]+).*loss (?P<loss>\S+)")
    source = Source(2, b"")
    kept.output._take(source, b"\rstep 1,0")
    kept.output._take(source, b"00/9 loss 1.5\rstep 1,001/9 loss nan\rstep 1,0")
    assert [(rank, step) for rank, step, _ in kept.steps] == [(2, 1001)]
    assert str(kept.steps[0][2]) == "nan"


def test_what_a_rank_wrote_is_kept_before_its_end_is_told() -> None:
    for _ in range(50):
        kept = Kept()
        (ends, writer), (others_end, other) = os.pipe(), os.pipe()
        kept.output.add(ends, 0, b"[rank0]: ")
        kept.output.add(others_end, 1, b"[rank1]: ")
        kept.output.start()
        os.write(other, b"one\n")
        os.write(writer, b"why\nand")
        kept.output.settle(0, 5.0)
        assert b"[rank0]: why\n" in kept.data
        assert b"and" in kept.data
        for file in (writer, other):
            os.close(file)
        kept.output.settle(1, 5.0)
        kept.output.close(5.0)
        for file in (ends, others_end, kept.output._woken, kept.output._waker):
            os.close(file)


def test_nobody_waits_for_long_for_one_who_writes_on() -> None:
    kept = Kept()
    ends, writer = os.pipe()
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            os.write(writer, b"x\n" * 30000)

    kept.output.add(ends, 0, b"")
    kept.output.start()
    writing = threading.Thread(target=write)
    writing.start()
    begun = time.monotonic()
    kept.output.settle(0, 0.3)
    assert time.monotonic() - begun < 5
    done.set()
    writing.join()
    kept.output.close(5.0)
    for file in (ends, writer, kept.output._woken, kept.output._waker):
        os.close(file)


def test_numbers() -> None:
    assert (number(b"1,200"), number(b"3_0.5"), number(b"x"), number(None)) == (1200.0, 30.5, None, None)


def test_ranks_are_joined_to_pipes_by_a_program_that_becomes_the_real_one(tmp_path: Path) -> None:
    kept = Kept()
    ranks = Ranks(str(tmp_path), 2)
    for rank, file in enumerate(ranks.files):
        kept.output.add(file, rank, b"[rank%d]: " % rank)
    kept.output.start()
    environment = {**os.environ, **ranks.environment({"PYTHON_EXEC": "/bin/sh"})}
    for rank in range(2):
        # As torchrun does it: the program in PYTHON_EXEC, then what is for Python.
        subprocess.run(
            [ranks.shim, "-c", 'echo "I am $0 $$" >&2; echo $LOCAL_RANK; exit 3', "x"],
            env={**environment, "LOCAL_RANK": str(rank)},
            check=False,
        )
    done = subprocess.run(
        [ranks.shim, "--aiops-bare", "echo", "bare"], env={**environment, "LOCAL_RANK": "0"}, check=False
    )
    kept.output.close(5)
    assert done.returncode == 0
    assert b"[rank1]: 1\n" in kept.data
    assert b"[rank0]: bare\n" in kept.data
