"""`aiops data show`: what is in a prepared folder, where it came from, and one row as the model reads it."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.app import App
from aiops.cli.cell import clean
from aiops.cli.exit import Exit
from aiops.cli.options import JsonOption, QuietOption
from aiops.cli.screen import Screen
from aiops.layers.core.errors import InputError, NotFoundError

from .summary import document, summary

if TYPE_CHECKING:
    from aiops.layers.l3_tuning.data.dataset import Manifest
    from aiops.layers.l3_tuning.data.prepared_rows import Kept

WhereArgument = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", help="A prepared folder: FOLDER/DIGEST, of which the digest's start suffices."),
]
RowArgument = Annotated[int | None, typer.Argument(metavar="[ROW]", help="One row, counted from 1.")]
RemovedOption = Annotated[bool, typer.Option("--removed", help="The rows that were removed, with place and reason.")]
HeldOutOption = Annotated[bool, typer.Option("--held-out", help="The row is one of those that are held out.")]
VerifyOption = Annotated[bool, typer.Option("--verify", help="Read all files, and compare them with their sha256.")]
BaseOption = Annotated[
    Path | None, typer.Option("--base", metavar="DIR", help="The folder of the model, to show tokens as text.")
]

_BARS = 12
_WIDTH = 40
_BLOCKS = " ▏▎▍▌▋▊▉█"
_ROLES = ("prompt", "chosen", "rejected")


def show(
    context: typer.Context,
    where: WhereArgument,
    row: RowArgument = None,
    *,
    removed: RemovedOption = False,
    held_out: HeldOutOption = False,
    verify: VerifyOption = False,
    base: BaseOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Show a prepared folder: counts, where its rows came from, and how long they are; or one row with its tokens.

    Of a row the tokens that are learnt stand in brackets, [so].
    """
    from aiops.layers.l3_tuning.data import prepared_rows, store

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    folder = _found(aiops.working_folder / where.expanduser())
    manifest = store.load(folder)
    if verify:
        with screen.step("verify") as step:
            store.verify(folder)
            step.summary = f"{len(manifest.files)} files"
    if removed:
        _removed(screen, folder)
    elif row is not None:
        kept = prepared_rows.row(folder, row, held_out=held_out)
        texts = None if base is None else _texts(kept, aiops.working_folder / base.expanduser(), manifest)
        _row(screen, kept, texts)
    elif json:
        screen.document(document(folder, manifest))
    else:
        summary(screen, folder, manifest)
        if screen.terminal:
            screen.text(_histogram(prepared_rows.lengths(folder).tolist()))
    return Exit.DONE


def _found(path: Path) -> Path:
    """The folder that is meant: itself, the only one in it, or the one whose digest begins so.

    Raises:
        NotFoundError: There is none.
        InputError: There are several.
    """
    from aiops.layers.l3_tuning.data.dataset import MANIFEST

    if (path / MANIFEST).exists():
        return path
    found = sorted(one.parent for one in (path.glob(f"*/{MANIFEST}") if path.is_dir() else ()))
    if not found and path.parent.is_dir():
        found = sorted(one.parent for one in path.parent.glob(f"{path.name}*/{MANIFEST}"))
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"there are {len(found)} prepared folders at {path}",
            code="data.ambiguous",
            hints=[f"name one: `aiops data show {found[0]}`"],
        )
    raise NotFoundError(
        f"there is no prepared data at {path}",
        code="data.unprepared",
        hints=["make it: `aiops data prepare PATH --base DIR --into FOLDER`"],
    )


def _removed(screen: Screen, folder: Path) -> None:
    from aiops.layers.l3_tuning.data.prepared_rows import removed

    each = removed(folder)
    if screen.json:
        screen.document(list(each))
        return
    header = ("file", "line", "step", "reason", "of", "note")
    if screen.terminal:
        rows = list(each)
        screen.table(header, [tuple(one.get(name) for name in header) for one in rows])
        screen.note(f"{len(rows):,} removed")
        return
    while some := list(islice(each, 1000)):  # a pipe may have millions
        screen.table(header, [tuple(one.get(name) for name in header) for one in some])


def _texts(kept: "Kept", base: Path, manifest: "Manifest") -> list[list[str]]:
    """Each token as text.

    Raises:
        InputError: The base has another tokenizer than the one that made them.
    """
    from aiops.layers.l3_tuning.data.tokenizer import read_tokenizer

    tokenizer = read_tokenizer(base)
    if tokenizer.digest != manifest.inputs.get("tokenizer"):
        raise InputError(
            f"{base} has another tokenizer than the one that made these tokens",
            code="data.other_tokenizer",
            hints=["name the base that it was prepared for, or leave out `--base` to see numbers"],
        )
    return [[tokenizer.inner.decode([one], skip_special_tokens=False) for one in part.tolist()] for part in kept.parts]


def _row(screen: Screen, kept: "Kept", texts: list[list[str]] | None) -> None:
    said: dict[str, Any] = {
        "number": kept.number,
        "file": kept.file,
        "line": kept.line,
        "sample": kept.sample,
        "segment": kept.segment,
        "row": kept.row,
        "tokens": [part.tolist() for part in kept.parts],
        "learnt": [mask.tolist() for mask in kept.masks],
    }
    if screen.json:
        screen.document({**said, **({} if texts is None else {"texts": texts})})
        return
    place = f"sample {kept.sample:,}" + ("" if kept.segment is None else f", segment {kept.segment}")
    counted = sum(int(mask.sum()) for mask in kept.masks)
    total = sum(len(part) for part in kept.parts)
    screen.line(f"row {kept.number:,} · {kept.file}:{kept.line} · {place} · {total:,} tokens, {counted:,} are learnt")
    for number, mask in enumerate(kept.masks):
        if len(kept.masks) > 1:
            screen.line(f"{_ROLES[number]}:")
        words = kept.parts[number].tolist() if texts is None else texts[number]
        screen.text(_marked([str(word) for word in words], mask.tolist(), " " if texts is None else "") + "\n")


def _marked(words: list[str], mask: list[int], between: str) -> str:
    """Tokens one after the other, those that are learnt in brackets; control characters but line ends are left out."""
    parts: list[str] = []
    open_ = False
    for word, learnt in zip(words, mask, strict=True):
        if bool(learnt) != open_:
            parts.append("[" if learnt else "]")
            open_ = bool(learnt)
        parts.append("\n".join(clean(line) for line in word.split("\n")) + between)
    return "".join(parts) + ("]" if open_ else "")


def _histogram(lengths: list[int]) -> str:
    """How long samples are, as bars."""
    if not lengths:
        return ""
    shortest, longest = min(lengths), max(lengths)
    width = max(-(-(longest - shortest + 1) // _BARS), 1)
    counts = [0] * (-(-(longest - shortest + 1) // width))
    for one in lengths:
        counts[(one - shortest) // width] += 1
    lines = ["", "tokens of a sample"]
    for number, count in enumerate(counts):
        low = shortest + number * width
        eighths = round(8 * _WIDTH * count / max(counts))
        if count and not eighths:
            eighths = 1
        bar = "█" * (eighths // 8) + _BLOCKS[eighths % 8].strip()
        lines.append(f"  {f'{low:,}-{low + width - 1:,}':>15}  {bar:<{_WIDTH}} {count:,}")
    return "\n".join(line.rstrip() for line in lines) + "\n"
