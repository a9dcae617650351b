"""`aiops data check`: what is wrong with data, by file and line, before anybody learns from it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.cli.options import JsonOption, QuietOption
from aiops.cli.output import output_file, unwritten
from aiops.cli.screen import Screen
from aiops.layers.core.count import counted
from aiops.layers.core.errors import InputError

from .choice import kinds_of, one_of
from .table import show

if TYPE_CHECKING:
    from aiops.cli.step import Step
    from aiops.layers.l3_tuning.data.check import Wish
    from aiops.layers.l3_tuning.data.findings import Told
    from aiops.layers.l3_tuning.data.lesson import Reader
    from aiops.layers.l3_tuning.data.report import Report
    from aiops.layers.l3_tuning.data.source import SourceFile

PathsArgument = Annotated[
    list[str],
    typer.Argument(metavar="PATH...", help="Files or folders: JSONL, JSON, Parquet, CSV, text; compressed too."),
]
FormOption = Annotated[
    str, typer.Option("--format", metavar="FORMAT", help="chat, prompt, preference, text; auto finds out.")
]
BaseOption = Annotated[
    Path | None,
    typer.Option("--base", metavar="DIR", help="A model's folder: its tokenizer and template. Level full needs it."),
]
TemplateOption = Annotated[
    Path | None, typer.Option("--template", metavar="FILE", help="A chat template (Jinja) instead of the base's own.")
]
LengthOption = Annotated[
    int | None, typer.Option("--length", metavar="N", min=1, help="Tokens that a row may have, at most.")
]
AgainstOption = Annotated[
    list[str] | None,
    typer.Option("--against", metavar="FILE", help="An evaluation whose rows must not be in the data; repeatable."),
]
LevelOption = Annotated[
    str | None,
    typer.Option("--level", metavar="LEVEL", help="structure, or full: as the model reads it. [full with --base]"),
]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow", metavar="KIND", help="A kind of fault that is told and does not fail the check; repeatable."
    ),
]
MostOption = Annotated[int, typer.Option("--max-shown", metavar="N", min=0, help="Faults of each kind that are shown.")]
PageOption = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Also a page with plots of lengths and duplicates.")
]


def check(
    context: typer.Context,
    paths: PathsArgument,
    *,
    format_: FormOption = "auto",
    base: BaseOption = None,
    template: TemplateOption = None,
    length: LengthOption = None,
    against: AgainstOption = None,
    level: LevelOption = None,
    allow: AllowOption = None,
    most: MostOption = 5,
    html: PageOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Say what is wrong with data, by file and line. Ends with 1 when there is a fault that is not allowed."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    _levels(level, base, {"--template": template, "--length": length, "--against": against})
    needed()
    from aiops.layers.l3_tuning.data.check import Wish
    from aiops.layers.l3_tuning.data.evaluation_set import evaluation_of
    from aiops.layers.l3_tuning.data.row import FORMS
    from aiops.layers.l3_tuning.data.source import sources
    from aiops.layers.l3_tuning.data.taking import named_form
    from aiops.layers.l3_tuning.data.tolerance import tolerated

    folder = aiops.working_folder
    target = None if html is None else output_file(folder, html, "--html")
    full = base is not None and level != "structure"
    files = sources(paths, folder)
    wish = Wish(
        form=named_form(one_of("--format", format_, ("auto", *FORMS))),
        reader=_reader(folder, base, template, length) if base is not None and full else None,
        evaluation=evaluation_of(against, folder) if against and full else None,
        most=most,
        allowed=tolerated(None, kinds_of(allow)),
    )
    report = _checked(screen, files, wish)
    if html is not None and target is not None:
        from aiops.layers.core.file import write_atomic
        from aiops.layers.l3_tuning.data.page import page

        try:
            write_atomic(target, page(report).encode(), 0o644)
        except OSError as error:
            raise unwritten(html, "--html", error) from error
    show(screen, report, paths)
    return Exit.FAILED if report.failed else Exit.DONE


def _checked(screen: Screen, files: "tuple[SourceFile, ...]", wish: "Wish") -> "Report":
    from aiops.layers.l3_tuning.data.check import check as look

    size = sum(file.size for file in files)
    with screen.step("check") as step:
        report = look(files, wish, _counter(step, size))
        step.summary = f"{counted(report.rows, 'row')} of {counted(len(files), 'file')}, {report.level}"
        step.mark = "✗" if report.failed else ""
    return report


def _counter(step: "Step", size: int) -> "Told":
    def told(rows: int, read: int) -> None:
        step.summary = f"{rows:,} rows, {min(read, size) * 100 // max(size, 1)} %"

    return told


def needed() -> None:
    """What data is read with is an extra: who only runs a cluster does without.

    Raises:
        InputError: It is not installed.
    """
    from importlib.util import find_spec

    missing = [name for name in ("orjson", "tokenizers", "pyarrow", "zstandard") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"this needs {', '.join(missing)}, which is not installed",
            code="data.extra",
            hints=["install the extra: `pip install 'aiops[tuning]'`"],
        )


def _levels(level: str | None, base: Path | None, closely: dict[str, object]) -> None:
    from aiops.layers.l3_tuning.data.fault import LEVELS

    if level is not None:
        one_of("--level", level, LEVELS)
    if level == "full" and base is None:
        raise InputError(
            "level full needs a model's tokenizer and template",
            code="data.base",
            hints=["name the model's folder: `--base DIR`"],
        )
    given = [option for option, value in closely.items() if value]
    if given and (base is None or level == "structure"):
        raise InputError(
            f"{given[0]} is only looked at on level full",
            code="data.level",
            hints=["name the model's folder: `--base DIR`" if base is None else "leave out `--level structure`"],
        )


def _reader(folder: Path, base: Path, template: Path | None, length: int | None) -> "Reader":
    from aiops.layers.l3_tuning.data.lesson import Reader
    from aiops.layers.l3_tuning.data.template import read_template
    from aiops.layers.l3_tuning.data.tokenizer import read_tokenizer

    tokenizer = read_tokenizer(folder / base)
    return Reader(tokenizer, read_template(tokenizer, None if template is None else folder / template), length)
