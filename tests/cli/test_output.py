"""Where an output cannot be written is told before the work, with the path as it was typed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aiops.cli.output import output_file, output_folder, unwritten
from aiops.layers.core.errors import InputError

Where = Callable[[Path, Path, str], Path]


def test_what_can_be_written_is_meant_from_the_working_folder(tmp_path: Path) -> None:
    assert output_file(tmp_path, Path("x.html"), "--html") == tmp_path / "x.html"
    assert output_folder(tmp_path, Path("a/b/c"), "--into") == tmp_path / "a/b/c"
    assert output_file(Path("/nowhere"), tmp_path / "x.html", "--html") == tmp_path / "x.html"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("where", [output_file, output_folder])
def test_what_one_may_not_write_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Where) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(InputError, match="`--into x` cannot be written: you may not write to") as caught:
        where(tmp_path, Path("x"), "--into")
    assert caught.value.hints


def test_a_disk_that_is_full_is_told_with_the_path_as_typed() -> None:
    error = unwritten(Path("x"), "--html", OSError(28, "No space left on device"))
    assert error.message == "`--html x` cannot be written: No space left on device"
