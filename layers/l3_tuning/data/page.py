"""Page: a report as one HTML file with plots, without script and without anything from elsewhere. Pure."""

from collections.abc import Sequence
from html import escape
from typing import Final

from aiops.layers.core.count import counted

from .fault import CATALOGUE
from .report import Report

_WIDTH: Final = 720
_HEIGHT: Final = 220
_LOW: Final = 40
"""Pixels below and left of a plot, for its words."""

_BARS: Final = 40
_STYLE: Final = """
:root { color-scheme: light dark }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; vertical-align: top; border-bottom: 1px solid #8884 }
td.n { text-align: right; font-variant-numeric: tabular-nums }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere }
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif; fill: currentColor }
svg .bar { fill: #3a7bd5 } svg .over { fill: #c0392b } svg .axis { stroke: currentColor; opacity: .4 }
.failed { color: #c0392b } .good { color: #1e8449 }
"""


def page(report: Report) -> str:
    """The whole file."""
    verdict = "has faults" if report.failed else "is clean"
    parts = [
        f"<h1>Data <span class={'failed' if report.failed else 'good'}>{verdict}</span></h1>",
        _summary(report),
        _faults(report),
        "<h2>Lengths</h2>",
        _lengths(report),
        "<h2>Duplicates</h2>",
        _duplicates(report),
        _files(report),
        _made(report),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Data check</title><style>{_STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _summary(report: Report) -> str:
    form = escape(report.form or "no known format")
    rows, files = counted(report.rows, "row"), counted(len(report.files), "file")
    return f"<p>{rows} of {form} in {files}, {report.faulty:,} with faults. Level: <b>{report.level}</b>.</p>"


def _faults(report: Report) -> str:
    if not report.kinds:
        return "<p>Nothing was found.</p>"
    rows = []
    for kind in report.kinds:
        known = CATALOGUE[kind]
        told = "" if report.failing(kind) else " <i>(does not fail)</i>"
        shown = "".join(f"<br><code>{escape(str(one.place))}</code> {escape(one.reason)}" for one in report.shown[kind])
        left = report.counts[kind] - len(report.shown[kind])
        more = f"<br>and {left:,} more" if left else ""
        words = f"{escape(known.meaning)}; {escape(known.advice)}{shown}{more}"
        rows.append(
            f"<tr><td><code>{kind}</code>{told}</td><td class=n>{report.counts[kind]:,}</td><td>{words}</td></tr>"
        )
    return f"<h2>Faults</h2><table><tr><th>Kind</th><th>Rows</th><th>What and where</th></tr>{''.join(rows)}</table>"


def _lengths(report: Report) -> str:
    if not report.lengths:
        return "<p>Tokens were not counted: this needs level full.</p>"
    longest = max(report.lengths)
    step = max(1, -(-longest // _BARS))
    bars = [0] * (longest // step + 1)
    for length, count in report.lengths.items():
        bars[length // step] += count
    names = [f"{number * step:,} to {number * step + step - 1:,} tokens" for number in range(len(bars))]
    over = None if report.length is None else report.length // step
    ticks = [f"{number * step:,}" if number % 5 == 0 else "" for number in range(len(bars))]
    words = ", ".join(
        f"{name} {report.quantile(part):,}" for name, part in (("half", 0.5), ("99 %", 0.99), ("longest", 1.0))
    )
    limit = "" if report.length is None else f", limit {report.length:,}"
    return f"<p>{report.tokens:,} tokens; of a row: {words}{limit}.</p>" + _plot(bars, names, ticks, over)


def _duplicates(report: Report) -> str:
    copies = report.multiplicity
    if not copies:
        return "<p>No row comes twice.</p>"
    again = sum((times - 1) * rows for times, rows in copies.items())
    shown = list(copies.items())[:_BARS]
    names = [f"{rows:,} rows come {times:,} times" for times, rows in shown]
    plot = _plot([rows for _, rows in shown], names, [f"{times} ×" for times, _ in shown], None)
    return f"<p>{again:,} rows came before; by how often a row is there:</p>{plot}"


def _plot(bars: Sequence[int], names: Sequence[str], ticks: Sequence[str], over: int | None) -> str:
    """Bars with their names as tooltips; those after `over` in another colour."""
    most = max(bars)
    width = (_WIDTH - _LOW) / max(len(bars), 8)
    drawn = []
    for number, (count, name, tick) in enumerate(zip(bars, names, ticks, strict=True)):
        height = count / most * (_HEIGHT - 2 * _LOW)
        if count:
            height = max(height, 1.0)
        left, top = _LOW + number * width, _HEIGHT - _LOW - height
        kind = "over" if over is not None and number > over else "bar"
        drawn.append(
            f'<rect class={kind} x="{left:.1f}" y="{top:.1f}" width="{max(width - 1, 0.5):.1f}" height="{height:.1f}">'
            f"<title>{escape(name)}: {count:,}</title></rect>"
        )
        if tick:
            drawn.append(f'<text x="{left:.1f}" y="{_HEIGHT - _LOW + 15}">{escape(tick)}</text>')
    line = f'<line class=axis x1="{_LOW}" y1="{_HEIGHT - _LOW}" x2="{_WIDTH}" y2="{_HEIGHT - _LOW}"/>'
    scale = f'<text x="0" y="{_LOW - 8}">{most:,} rows</text>'
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{line}{scale}{"".join(drawn)}</svg>'


def _files(report: Report) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td class=n>{rows:,}</td></tr>" for name, rows in report.files.items()
    )
    return f"<h2>Files</h2><table><tr><th>File</th><th>Rows</th></tr>{rows}</table>"


def _made(report: Report) -> str:
    if report.tokenizer is None:
        return ""
    said = f"Tokenizer <code>{report.tokenizer}</code>, template <code>{report.template or 'none'}</code>"
    asked = "" if report.questions is None else f"; {report.questions:,} questions of an evaluation were looked for"
    return f"<p>{said}{asked}.</p>"
