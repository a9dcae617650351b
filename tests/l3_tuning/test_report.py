"""The end of a run: its curve read from what may be cut off, in a terminal and on a page."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l3_tuning.report import Point, page, plot, read_curve, speed
from aiops.layers.l3_tuning.reporting import figures, write_report


def curve_of(folder: Path, *lines: dict[str, Any]) -> tuple[Point, ...]:
    (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return read_curve(folder / "metrics.jsonl")


def test_of_a_step_that_was_done_twice_the_last_counts(tmp_path: Path) -> None:
    lines = [{"step": 1, "loss": 4.0, "tokens": 10, "seconds": 2.0}, {"step": 2, "loss": 9}, {"step": 2, "loss": 3.0}]
    text = "".join(json.dumps(one) + "\n" for one in lines) + '{"step": 3, "loss": NaN}\n{"step": 4, "lo'
    (tmp_path / "metrics.jsonl").write_text(text)
    curve = read_curve(tmp_path / "metrics.jsonl")
    assert curve == (Point(1, 4.0, 10, 2.0), Point(2, 3.0))
    assert speed(curve) == 5.0
    assert read_curve(tmp_path / "gone") == ()
    assert speed(()) is None


def test_what_an_attempt_has_told_behind_where_the_next_began_is_left_out(tmp_path: Path) -> None:
    first = [{"step": step, "loss": 9.0, "tokens": 100, "seconds": 1.0} for step in range(1, 11)]
    second = [{"step": step, "loss": 1.0, "tokens": 10, "seconds": 1.0} for step in range(6, 8)]
    curve = curve_of(tmp_path, *first, *second)
    assert [(one.step, one.loss) for one in curve] == [*((step, 9.0) for step in range(1, 6)), (6, 1.0), (7, 1.0)]
    found = figures(tmp_path, curve)
    assert (found["steps"], found["tokens"], found["seconds"], found["last_loss"]) == (7, 520, 7.0, 1.0)


def test_steps_that_are_not_told_count_as_those_that_are(tmp_path: Path) -> None:
    """With `log_every: 10` a line tells what its own step has read and taken, and stands for ten."""
    curve = curve_of(
        tmp_path,
        {"step": 10, "loss": 4.0, "tokens": 100, "seconds": 0.5},
        {"step": 20, "loss": 3.0, "tokens": 120, "seconds": 0.5},
        {"step": 25, "loss": 2.0, "tokens": 80, "seconds": 1.0},  # the last is always told
    )
    assert [one.steps for one in curve] == [10, 10, 5]
    found = figures(tmp_path, curve)
    assert (found["steps"], found["told"], found["tokens"], found["seconds"]) == (25, 3, 2600, 15.0)
    assert found["tokens_per_second"] == speed(curve) == 2600 / 15.0
    quiet = figures(tmp_path, curve_of(tmp_path, {"step": 3, "loss": 1.0}))
    assert (quiet["steps"], quiet["tokens"], quiet["seconds"], quiet["tokens_per_second"]) == (3, None, None, None)


def test_figures_of_an_attempt_before_do_not_stay(tmp_path: Path) -> None:
    """The report is written after each attempt, into the file that a trainer writes its own into."""
    (tmp_path / "report.json").write_text(
        '{"evaluation": {"passed": true}, "steps": 50, "tokens": 7, "last_loss": 0.1}'
    )
    line = {"step": 1, "loss": 4.0, "tokens": 100, "seconds": 0.5}
    write_report(tmp_path, curve_of(tmp_path, line), None)
    curve = curve_of(tmp_path, line, {"step": 2, "loss": 2.0, "tokens": 100, "seconds": 0.5})
    write_report(tmp_path, curve, None)
    found = json.loads((tmp_path / "report.json").read_text())
    assert (found["steps"], found["tokens"], found["last_loss"], found["tokens_per_second"]) == (2, 200, 2.0, 200.0)
    assert found["evaluation"] == {"passed": True}
    (tmp_path / "report.json").write_text('{"steps": 50}')
    assert figures(tmp_path, ()) == {"v": 1, "run": tmp_path.name, "steps": 50}  # of a trainer that tells no metrics


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=300), st.integers(2, 80), st.integers(2, 20))
def test_a_plot_has_its_size_and_says_the_bounds(losses: list[float], width: int, height: int) -> None:
    lines = plot([Point(step, loss) for step, loss in enumerate(losses, 1)], width, height)
    assert len(lines) == height + 1
    drawn = [line.partition("┤")[2] for line in lines[:-1]]
    assert {len(line) for line in drawn} == {width}
    for column in range(width):
        assert any(line[column] != "⠀" for line in drawn)
    assert lines[-1].endswith(str(len(losses)))


def test_a_falling_curve_falls() -> None:
    lines = plot([Point(step, 100.0 - step) for step in range(100)], 10, 5)
    assert lines[0].startswith("99 ┤")
    assert lines[4].startswith(" 2 ┤")
    first = [next(row for row in range(5) if lines[row].partition("┤")[2][column] != "⠀") for column in range(10)]
    assert first == sorted(first)
    assert plot([Point(1, 1.0)]) == []


def test_a_page_holds_all_and_nothing_of_it_is_markup(tmp_path: Path) -> None:
    curve = [Point(1, 2.0), Point(2, 1.0)]
    text = page("<run>", "name: a & b", curve, {"loss": 1, "curve": [1]}, {"made": "<b>", "files": [{"path": "x"}]})
    assert "&lt;run&gt;" in text
    assert "a &amp; b" in text
    assert "<b>" not in text
    svg = text[text.index("<svg") : text.index("</svg>") + 6]
    assert ET.fromstring(svg).find("polyline") is not None  # noqa: S314 - ours
    assert "http" not in text
    assert "Fewer than two steps" in page("a", "", [], {}, {})
