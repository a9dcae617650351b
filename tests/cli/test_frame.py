"""Mistakes, interrupts, closed pipes and defects, as whole screens."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from aiops.cli import main as main_module
from aiops.layers.core.errors import AiopsError, ConflictError, InputError, Problem

Shown = Callable[..., str]


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Make `aiops try it` run a function."""

    def register(work: Callable[[], object]) -> None:
        root = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
        noun = typer.Typer(no_args_is_help=True)
        root.add_typer(noun, name="try")

        @noun.callback()
        def _group() -> None:
            """A noun for this test."""

        @noun.command("it")
        def _it(count: int = 0, file: Path | None = None, json: bool = False, quiet: bool = False) -> object:
            """A verb for this test."""
            return work()

        @noun.command("take")
        def _take(name: str) -> None:
            """Another verb."""

        @root.command("other")
        def _other() -> None:
            """Another noun."""

        monkeypatch.setattr(main_module, "root", root)

    return register


def test_a_mistyped_noun(shown: Shown) -> None:
    assert shown("clustr") == (
        "exit: 2\n--- stdout\n--- stderr\n"
        "error: `aiops` has no command `clustr`\n\nhint: did you mean `aiops cluster`?\n"
    )


def test_a_noun_that_is_like_nothing(shown: Shown) -> None:
    assert shown("zzz") == (
        "exit: 2\n--- stdout\n--- stderr\nerror: `aiops` has no command `zzz`\n\nhint: see `aiops --help`\n"
    )


def test_a_mistyped_verb_and_option(shown: Shown, verb: Callable[[Callable[[], object]], None]) -> None:
    verb(lambda: None)
    assert "hint: did you mean `aiops try take`?\n" in shown("try", "tak")
    assert shown("try", "it", "--cuont", "3") == (
        "exit: 2\n--- stdout\n--- stderr\n"
        "error: `aiops try it` has no option `--cuont`\n\nhint: did you mean `--count`?\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("it", "--count", "many"), "error: `--count`: input should be a valid integer"),
        (("take",), "error: `aiops try take` needs the argument `name`"),
        (("take", "a", "b"), "error: `aiops try take` does not take `b`"),
        (("it", "--count"), "error: `aiops try it`: option `--count` requires an argument"),
    ],
)
def test_wrong_values(
    shown: Shown, verb: Callable[[Callable[[], object]], None], words: tuple[str, ...], message: str
) -> None:
    verb(lambda: None)
    screen = shown("try", *words)
    assert screen.startswith("exit: 2\n--- stdout\n--- stderr\n")
    assert message in screen
    assert f"\n\nhint: see `aiops try {words[0]} --help`\n" in screen


def test_an_option_behind_the_double_dash_is_told_where_it_stands(
    shown: Shown, verb: Callable[[Callable[[], object]], None]
) -> None:
    verb(lambda: None)
    screen = shown("try", "take", "--", "a", "--count", "3")
    assert "does not take `--count" in screen
    assert "\n\nhint: options stand before `--`\nhint: see `aiops try take --help`\n" in screen
    assert "options stand" not in shown("try", "take", "--", "a", "b")


def test_a_mistake_as_one_document(shown: Shown) -> None:
    assert shown("clustr", "--json") == (
        'exit: 2\n--- stdout\n{\n  "error": {\n    "code": "usage.unknown_command",\n'
        '    "message": "`aiops` has no command `clustr`",\n'
        '    "hint": "did you mean `aiops cluster`?"\n  }\n}\n--- stderr\n'
    )


def test_json_after_the_double_dash_is_not_ours(shown: Shown) -> None:
    assert "--- stdout\n--- stderr\nerror:" in shown("clustr", "--", "--json")


def test_errors_name_files_lines_and_hints(shown: Shown, verb: Callable[[Callable[[], object]], None]) -> None:
    def work() -> None:
        raise InputError(
            "inventory.yml has 2 mistakes",
            code="inventory.invalid",
            problems=[Problem("unknown key `prot`", "inventory.yml", 7, "did you mean `port`?"), Problem("no head")],
            hints=["write a new one: `aiops cluster init`"],
        )

    verb(work)
    assert shown("try", "it") == (
        "exit: 2\n--- stdout\n--- stderr\n"
        "error: inventory.yml has 2 mistakes\n"
        "  inventory.yml:7: unknown key `prot`\n"
        "    did you mean `port`?\n"
        "  no head\n"
        "\nhint: write a new one: `aiops cluster init`\n"
    )
    assert '"line": 7' in shown("try", "it", "--json")
    assert "hint:" not in shown("try", "it", "--quiet")


def test_a_node_cannot_drive_the_terminal_through_an_error(
    shown: Shown, verb: Callable[[Callable[[], object]], None]
) -> None:
    def work() -> None:
        raise ConflictError("held by \x1b[2Jevil\nerror: fake", code="lock.held")

    verb(work)
    assert "error: held by  [2Jevil error: fake\n" in shown("try", "it")


def test_a_command_gives_its_exit_code(shown: Shown, verb: Callable[[Callable[[], object]], None]) -> None:
    verb(lambda: 4)
    assert shown("try", "it").startswith("exit: 4\n")


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt, 130), (typer.Abort, 130), (typer.Exit, 0)])
def test_interrupts(
    shown: Shown, verb: Callable[[Callable[[], object]], None], raised: type[BaseException], code: int
) -> None:
    def work() -> None:
        raise raised

    verb(work)
    screen = shown("try", "it")
    assert screen.startswith(f"exit: {code}\n")
    assert ("error: interrupted\n" in screen) == (code == 130)


def test_a_file_that_cannot_be_read_is_the_machines_trouble(
    shown: Shown, verb: Callable[[Callable[[], object]], None]
) -> None:
    verb(lambda: Path("/nowhere/at/all").read_text())
    assert shown("try", "it") == (
        "exit: 1\n--- stdout\n--- stderr\nerror: /nowhere/at/all: No such file or directory\n"
    )


def test_a_defect_ends_in_a_report_without_local_values(
    shown: Shown, verb: Callable[[Callable[[], object]], None], tmp_path: Path
) -> None:
    def work() -> None:
        password = "canary-" + "in-a-local"  # noqa: F841 - it must not be found in the report
        raise KeyError("gpu01")

    verb(work)
    assert shown("try", "it", "--file", "canary-value") == (
        "exit: 70\n--- stdout\n--- stderr\n"
        "error: aiops has a defect: KeyError: 'gpu01'\n\n"
        "hint: read the report: `less [TMP]/home/reports/[TIME]-KeyError.txt`\n"
        "hint: please send it to the maintainers; run `aiops doctor` to see whether this machine is sound\n"
    )
    (report,) = (tmp_path / "home" / "reports").iterdir()
    text = report.read_text()
    assert "Traceback" in text
    assert "command: aiops try it\n" in text
    assert "canary-in-a-local" not in text
    assert "canary-value" not in text
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert stat.S_IMODE(report.parent.stat().st_mode) == 0o700


def test_a_defect_without_a_home_is_still_told(
    shown: Shown,
    verb: Callable[[Callable[[], object]], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "home").write_text("")
    verb(lambda: 1 / 0)
    assert "hint: the report stands above" in shown("try", "it")
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_every_family_has_an_exit_code_of_the_table() -> None:
    from aiops.cli.exit import Exit, exit_of, worst

    codes = {family.__name__: int(exit_of(family("x", code="x"))) for family in AiopsError.__subclasses__()}
    assert {name: code for name, code in codes.items() if name != "DefectError"} == {
        "InputError": 2,
        "NotFoundError": 6,
        "UnreachableError": 3,
        "ConflictError": 5,
        "CriticalError": 4,
        "FailedError": 1,
        "PendingError": 8,
    }
    assert worst([Exit.DONE, Exit.UNREACHABLE, Exit.CRITICAL, Exit.FAILED]) == Exit.FAILED
    assert worst([Exit.DONE, Exit.UNREACHABLE, Exit.CRITICAL]) == Exit.CRITICAL
    assert worst([]) == Exit.DONE


# In a process of their own: signals and closed pipes.

_PROGRAM = """
import sys, time
import typer
from aiops.cli import main as main_module
root = typer.Typer()
@root.command("wait")
def _wait(json: bool = False) -> None:
    try:
        sys.stderr.write("ready\\n")
        sys.stderr.flush()
        time.sleep(60)
    finally:
        sys.stderr.write("released\\n")
@root.command("flood")
def _flood(context: typer.Context) -> None:
    screen = context.obj.screen()
    while True:
        screen.table(["A"], [["x" * 1000]] * 100)
main_module.root = root
sys.exit(main_module.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 143, "terminated"),
    ],
)
def test_signals_unwind_and_have_their_codes(number: signal.Signals, code: int, word: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM, "wait"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (code, f"released\nerror: {word}\n")


def test_who_is_cut_off_with_its_reader_ends_quietly_and_keeps_its_code() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "wait", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"
    process.stdout.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    assert process.stderr.read() == "released\n"
    process.stderr.close()


def test_a_closed_pipe_ends_quietly() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "flood"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "x" * 1000 + "\n"
    process.stdout.close()
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        os.sched_yield()
        time.sleep(0.02)
    assert process.returncode == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_in_a_folder_that_was_deleted_it_says_so(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    words = ["sh", "-c", f'rmdir "{gone}" && exec "$0" "$@" cluster status', sys.executable, "-m", "aiops"]
    done = subprocess.run(words, cwd=gone, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the folder you are in was deleted\n\nhint: go to another one: `cd`\n"
