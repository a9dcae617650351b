"""`aiops data prepare`: rows become tokens once, in a folder under the digest of all that made it."""

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.cli.options import DryRunOption, JsonOption, QuietOption
from aiops.cli.output import output_folder
from aiops.layers.core.count import counted

from .checking import needed
from .choice import kinds_of, one_of
from .progress import Progress
from .summary import document, summary

PathsArgument = Annotated[list[str], typer.Argument(metavar="PATH...", help="Files of rows, or folders of them.")]
BaseOption = Annotated[
    Path, typer.Option("--base", metavar="DIR", help="The folder of the model, for its tokenizer and chat template.")
]
IntoOption = Annotated[Path, typer.Option("--into", metavar="FOLDER", help="Where it is kept, as FOLDER/DIGEST.")]
FormatOption = Annotated[
    str, typer.Option("--format", metavar="NAME", help="What rows are: chat, prompt, preference or text.")
]
TemplateOption = Annotated[
    Path | None, typer.Option("--template", metavar="FILE", help="Another chat template (Jinja). [the base's own]")
]
LengthOption = Annotated[int, typer.Option("--length", metavar="N", help="Tokens of one sample, at most.")]
LongOption = Annotated[
    str, typer.Option("--long", metavar="WHAT", help="What is done with longer rows: error, truncate or drop.")
]
PackingOption = Annotated[bool, typer.Option("--packing", help="Rows share samples; none sees another.")]
LossOption = Annotated[str, typer.Option("--loss", metavar="WHAT", help="What is learnt: answer or all.")]
DuplicatesOption = Annotated[
    str,
    typer.Option("--duplicates", metavar="WHICH", help="Which rows are removed for that: keep none, exact or near."),
]
FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="NAME[=BOUND]",
        help="Remove rows by their characters: shortest, longest, repeated-lines, repeated-words, symbols.",
    ),
]
MaskOption = Annotated[
    str, typer.Option("--mask", metavar="KINDS", help="Mask personal data, e.g. `email,phone,card,iban,ip,key`.")
]
ExamOption = Annotated[
    list[str] | None,
    typer.Option("--decontaminate", metavar="FILE", help="Remove rows that show what this evaluation asks."),
]
HeldOutOption = Annotated[
    float, typer.Option("--held-out", metavar="PART", help="Hold out this part of the rows, by hash of their question.")
]
EvaluationOption = Annotated[
    list[str] | None, typer.Option("--evaluation", metavar="FILE", help="Held-out rows, prepared beside.")
]
AllowOption = Annotated[
    list[str] | None, typer.Option("--allow", metavar="KIND", help="Go on in spite of faults of this kind.")
]
EngineOption = Annotated[
    str, typer.Option("--engine", metavar="NAME", help="Who does it: local, or datatrove (the same bytes).")
]
JobsOption = Annotated[int, typer.Option("--jobs", metavar="N", min=1, help="Processes that share the work.")]


def prepare(
    context: typer.Context,
    paths: PathsArgument,
    *,
    base: BaseOption,
    into: IntoOption,
    format_: FormatOption = "auto",
    template: TemplateOption = None,
    length: LengthOption = 2048,
    long: LongOption = "error",
    packing: PackingOption = False,
    loss: LossOption = "answer",
    duplicates: DuplicatesOption = "exact",
    filter_: FilterOption = None,
    mask: MaskOption = "",
    decontaminate: ExamOption = None,
    held_out: HeldOutOption = 0.0,
    evaluation: EvaluationOption = None,
    allow: AllowOption = None,
    engine: EngineOption = "local",
    jobs: JobsOption = 1,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Prepare data for training: clean it, tokenise it once, and keep it under the digest of all that made it.

    The same inputs give the same digest and the same bytes on any machine; what is there already is not made again.
    Rows that are wrong or too long refuse all, with file and line, unless you say what is to become of them.
    """
    needed()
    from aiops.layers.l3_tuning.data.data_engine import data_engine
    from aiops.layers.l3_tuning.data.filter import chosen
    from aiops.layers.l3_tuning.data.personal import KINDS
    from aiops.layers.l3_tuning.data.preparation import preparation_of
    from aiops.layers.l3_tuning.data.production import made_before, produce
    from aiops.layers.l3_tuning.data.row import FORMS
    from aiops.layers.l3_tuning.recipe import DataPlan, Duplicates, Long, Loss

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    here = aiops.working_folder

    def absolute(names: list[str] | None) -> tuple[str, ...]:
        return tuple(str(here / Path(name).expanduser()) for name in names or ())

    words: dict[str, Any] = {
        "form": one_of("--format", format_, ("auto", *FORMS)),
        "long": one_of("--long", long, get_args(Long)),
        "loss": one_of("--loss", loss, get_args(Loss)),
        "duplicates": one_of("--duplicates", duplicates, get_args(Duplicates)),
        "allow": kinds_of(allow),
        "mask": tuple(one_of("--mask", kind.strip(), KINDS) for kind in mask.split(",") if kind.strip()),
    }
    plan = DataPlan(
        absolute(paths),
        absolute(evaluation),
        held_out,
        template=None if template is None else str(here / template.expanduser()),
        length=length,
        packing=packing,
        decontaminate=absolute(decontaminate),
        **words,
    )
    carrier = data_engine(aiops.plugins, engine)
    target, model = output_folder(here, into, "--into"), here / base.expanduser()
    with Progress(screen) as progress:
        preparation = preparation_of(plan, str(model), chosen(filter_ or ()), told=progress.hashed)
        if dry_run:
            there = made_before(preparation, target)
        else:
            made = produce(preparation, target, engine=carrier, shares=jobs, emit=progress.listen)
    folder = target / preparation.digest
    if dry_run:
        files = len(preparation.train) + len(preparation.evaluation)
        if json:
            screen.document(
                {"folder": str(folder), "digest": preparation.digest, "prepared": there is not None, "files": files}
            )
        else:
            screen.line(str(folder))
            state = "it is prepared already" if there is not None else f"{counted(files, 'file')} would be prepared"
            screen.note(f"{state}; nothing was changed")
        return Exit.DONE
    if json:
        screen.document(document(folder, made, found=progress.found))
        return Exit.DONE
    summary(screen, folder, made)
    if progress.found:
        screen.note("it was prepared already; nothing was changed")
    screen.hint(f"see a row with its tokens: `aiops data show {aiops.nickname(str(folder))} 1`")
    return Exit.DONE
