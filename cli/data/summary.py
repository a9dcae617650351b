"""A prepared folder in a few lines, and as one document."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiops.cli.screen import Screen
from aiops.layers.l3_tuning.data.dataset import TOLERATED

if TYPE_CHECKING:
    from aiops.layers.l3_tuning.data.dataset import Manifest


def document(folder: Path, manifest: "Manifest", **more: Any) -> dict[str, Any]:
    """All that its manifest says, and where it is."""
    from dataclasses import asdict

    return {"folder": str(folder), **more, **asdict(manifest)}


def summary(screen: Screen, folder: Path, manifest: "Manifest") -> None:
    """What is in it, where it came from, and what became of the rest."""
    lineage, person = manifest.lineage, screen.terminal

    def spelled(count: int) -> str:
        return f"{count:,}" if person else str(count)

    rows: list[tuple[str, str, str]] = [
        ("rows", spelled(manifest.rows), manifest.form),
        ("samples", spelled(manifest.samples), _full(manifest)),
        ("tokens", spelled(manifest.tokens), f"{_part(manifest.counted, manifest.tokens)} are learnt"),
        ("longest", spelled(manifest.longest), f"of {spelled(manifest.length)} at most"),
    ]
    if "evaluation" in lineage:
        rows.append(("held out", spelled(lineage["evaluation"]["rows"]), ""))
    for step, reasons in lineage.get("removed", {}).items():
        rows += [(f"removed: {step}", spelled(count), reason) for reason, count in reasons.items()]
    rows += [("allowed", spelled(count), kind) for kind, count in lineage.get(TOLERATED, {}).items()]
    rows += [(f"masked: {kind}", spelled(count), "") for kind, count in lineage.get("masked", {}).items()]
    rows += [
        ("from" if file["set"] == "train" else "held out from", spelled(file["rows"]), file["name"])
        for file in lineage.get("files", ())
    ]
    if person:  # its name would make the column wider than the terminal
        screen.line(f"{folder}\n")
    screen.table(("what", "count", ""), rows if person else [("folder", str(folder), ""), *rows])


def _full(manifest: "Manifest") -> str:
    if not manifest.packed:
        return "a row each"
    return f"shared, {_part(manifest.tokens, manifest.samples * manifest.length)} full"


def _part(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %" if of else "nothing"
