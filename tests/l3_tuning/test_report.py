"""The end of a run: its curve read from what may be cut off, in a terminal and on a page."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l3_tuning.report import Point, page, plot, read_curve, speed


def test_of_a_step_that_was_done_twice_the_last_counts(tmp_path: Path) -> None:
    lines = [{"step": 1, "loss": 4.0, "tokens": 10, "seconds": 2.0}, {"step": 2, "loss": 9}, {"step": 2, "loss": 3.0}]
    text = "".join(json.dumps(one) + "\n" for one in lines) + '{"step": 3, "loss": NaN}\n{"step": 4, "lo'
    (tmp_path / "metrics.jsonl").write_text(text)
    curve = read_curve(tmp_path / "metrics.jsonl")
    assert curve == (Point(1, 4.0, 10, 2.0), Point(2, 3.0))
    assert speed(curve) == 5.0
    assert read_curve(tmp_path / "gone") == ()
    assert speed(()) is None


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
