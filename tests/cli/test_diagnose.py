"""`aiops job diagnose` as it is seen: on a terminal, in a pipe, as a document, and when there is nothing to read."""

import json
from pathlib import Path

import pytest

from .conftest import Shown

LOG = """\
step 12 loss 2.31
[rank1]: Traceback (most recent call last):
[rank0]: step 13
[rank1]:   File "train.py", line 3, in <module>
[rank1]: KeyError: 'labels'
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "run.log"
    path.write_text(LOG)
    return path


def test_on_a_terminal(shown: Shown, log: Path) -> None:
    screen = shown("job", "diagnose", "run.log", terminal=True, environment={"NO_COLOR": "1", "COLUMNS": "120"})
    assert screen.startswith("exit: 0\n")
    assert "what happened  the program raised an error" in screen
    assert "who acts       user" in screen
    assert "try again      no: it would fail again" in screen
    assert "5     1     [rank1]: KeyError: 'labels'" in screen
    assert "first traceback of rank 1, line 2\nTraceback (most recent call last):\n  File" in screen


def test_in_a_pipe(shown: Shown, log: Path) -> None:
    lines = shown("job", "diagnose", "run.log").splitlines()
    assert "class\tuser_code" in lines
    assert "5\t1\t[rank1]: KeyError: 'labels'" in lines


def test_as_a_document(shown: Shown, log: Path) -> None:
    screen = shown("job", "diagnose", "run.log", "--json")
    document = json.loads(screen.partition("--- stdout\n")[2].partition("--- stderr")[0])
    assert list(document) == ["class", "causer", "retryable", "bad_node", "evidence"]
    assert document["class"] == "user_code"
    assert document["evidence"][0] == {"line": 5, "rank": 1, "text": "[rank1]: KeyError: 'labels'"}


def test_a_healthy_log_and_stdin(shown: Shown) -> None:
    screen = shown("job", "diagnose", "-", typed="step 1 loss 2.0\nstep 2 loss 1.9\n")
    assert screen.startswith("exit: 0\n")
    assert "class\thealthy" in screen
    assert "hint: " in screen


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bytes(range(128, 256)) * 40, "run.log is no text: nothing can be said of it"),
        (b"\x1f\x8b\x08" + bytes(60), "hint: `zcat run.log | aiops job diagnose -`"),
        (bytes(5000), "run.log is empty but for zeros"),
    ],
)
def test_what_is_no_log_is_not_healthy(shown: Shown, log: Path, content: bytes, said: str) -> None:
    log.write_bytes(content)
    screen = shown("job", "diagnose", "run.log")
    assert screen.startswith("exit: 2\n")
    assert said in screen


def test_zeros_that_a_rotation_left_and_letters_of_all_languages_are_no_harm(shown: Shown, log: Path) -> None:
    log.write_bytes(bytes(9000) + "шаг 1 потеря\n损失\n".encode() + LOG.encode())
    assert "class\tuser_code" in shown("job", "diagnose", "run.log")


@pytest.mark.parametrize(("name", "said"), [("none.log", "No such file"), (".", "Is a directory")])
def test_what_cannot_be_read_is_exit_2(shown: Shown, name: str, said: str) -> None:
    screen = shown("job", "diagnose", name)
    assert screen.startswith("exit: 2\n")
    assert said in screen
    assert "hint: " in screen


def test_nothing_to_read_is_exit_2(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "empty.log").touch()
    assert shown("job", "diagnose", "empty.log").startswith("exit: 2\n")
    assert "stdin is empty" in shown("job", "diagnose", "-")


def test_control_characters_of_a_log_do_not_drive_the_terminal(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "evil.log").write_bytes(b"\x1b]0;title\x07KeyError: '\x1b[2J\x9b1mx'\n\xff\xfe\x00\n")
    screen = shown("job", "diagnose", "evil.log", terminal=True, environment={"NO_COLOR": "1"})
    assert "\x1b" not in screen.replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert "user_code" in screen
