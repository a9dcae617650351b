"""The docs are tests: every command has help and stands in the reference, and every command shown can be typed."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer._click.core import Command, Context

from aiops.cli.app import App
from aiops.cli.main import HELP_OPTIONS, main, root
from aiops.cli.reference import commands, markdown

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
TREE = dict(commands(typer.main.get_command(root)))
_BLOCK = re.compile(r"(<!-- run -->\n)?```(\w*)\n(.*?)```", re.DOTALL)
_INLINE = re.compile(r"`(aiops [a-z][^`\n]*)`")


def blocks(page: Path) -> Iterator[tuple[bool, str, str]]:
    for run, language, text in _BLOCK.findall(page.read_text()):
        yield bool(run), language, text


def shown(page: Path) -> Iterator[str]:
    """The command lines of a page: after `$ ` in a block, and in backticks."""
    for _, language, text in blocks(page):
        for line in text.splitlines():
            if language in ("console", "sh", "") and line.startswith("$ aiops "):
                yield line.removeprefix("$ ")
    for line in _INLINE.findall(_BLOCK.sub("", page.read_text())):
        yield line


SHOWN = sorted({(str(page.relative_to(ROOT)), line) for page in PAGES for line in shown(page)})


def resolved(words: list[str]) -> tuple[Command, list[str]]:
    """The command that `words` name, and the words that are left."""
    command, path = TREE["aiops"], "aiops"
    while words and f"{path} {words[0]}" in TREE:
        path = f"{path} {words.pop(0)}"
        command = TREE[path]
    return command, words


@pytest.mark.parametrize("path", TREE)
def test_every_command_and_option_has_help(path: str) -> None:
    command = TREE[path]
    assert command.help
    assert "Placeholder" not in command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), parameter.name


@pytest.mark.parametrize("path", [path for path, command in TREE.items() if hasattr(command, "commands")])
def test_every_noun_has_a_verb(path: str) -> None:
    assert getattr(TREE[path], "commands", {})


def test_the_reference_is_current() -> None:
    assert (ROOT / "docs/reference/cli.md").read_text() == markdown(), "write it anew: `make docs`"


@pytest.mark.parametrize(("page", "line"), SHOWN)
def test_a_command_shown_can_be_typed(page: str, line: str) -> None:
    words = shlex.split(line.partition(" | ")[0], comments=True)[1:]
    command, rest = resolved(words)
    if hasattr(command, "commands"):
        assert rest in ([], ["--help"], ["--version"]), f"{page}: no such command: {line}"
        return
    context = Context(command, info_name=line, help_option_names=HELP_OPTIONS, ignore_unknown_options=False)
    parser = command.make_parser(context)
    _, left, _ = parser.parse_args(list(rest))
    assert left == [] or command.allow_extra_args, f"{page}: {line} does not take {left}"


RUNNABLE = [
    (str(page.relative_to(ROOT)), line.removeprefix("$ "))
    for page in PAGES
    for run, _, text in blocks(page)
    if run
    for line in text.splitlines()
    if line.startswith("$ aiops ")
]


@pytest.mark.parametrize(("page", "line"), RUNNABLE)
def test_a_command_marked_runnable_runs(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIOPS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    code = main(shlex.split(line)[1:], App({"AIOPS_HOME": str(tmp_path)}))
    said = capsys.readouterr()
    assert code == 0, f"{page}: {line}: {said.err}"
    assert said.out


HINTS = sorted(
    {
        (str(path.relative_to(ROOT)), " ".join(words[:2]))
        for folder in ("cli", "layers", "plugins")
        for path in (ROOT / folder).rglob("*.py")
        for words in re.findall(r"`aiops ([a-z]+)(?: ([a-z]+))?", path.read_text())
    }
)


@pytest.mark.parametrize(("file", "words"), HINTS)
def test_a_command_named_in_a_message_exists(file: str, words: str) -> None:
    command, rest = resolved(words.split())
    assert command is not TREE["aiops"], f"{file} names `aiops {words}`"
    assert not (hasattr(command, "commands") and rest), f"{file} names `aiops {words}`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


LEAVES = [path for path, command in TREE.items() if not hasattr(command, "commands")]
# What these print is one word or another program's own output.
WITHOUT_JSON = {"aiops config path", "aiops node ssh"}


@pytest.mark.parametrize("path", LEAVES)
def test_options_mean_one_thing_everywhere(path: str) -> None:
    options = {name for parameter in TREE[path].params for name in parameter.opts}
    if path not in WITHOUT_JSON:
        assert {"--json", "-q", "--quiet"} <= options
    for short, long in (("-i", "--inventory"), ("-q", "--quiet"), ("-v", "--verbose"), ("-f", "--follow")):
        assert (short in options) == (long in options), long
    if "--on" in options and "NODES" in {parameter.metavar for parameter in TREE[path].params}:
        assert {"--limit", "--node"} <= options


@pytest.mark.parametrize("path", TREE)
def test_short_help_works_everywhere(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*path.split()[1:], "-h"], App({})) == 0
    assert capsys.readouterr().out.startswith(f"Usage: {path} ")
