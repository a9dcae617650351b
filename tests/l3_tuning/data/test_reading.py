"""Whatever stands in a file is read or is a fault with a place; nothing is raised."""

import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l3_tuning.data.check import Wish, check
from aiops.layers.l3_tuning.data.fault import CATALOGUE, Fault
from aiops.layers.l3_tuning.data.reading import records
from aiops.layers.l3_tuning.data.source import sources

from .planting import line, pair

_PIECES = st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"\n",
        b"\r\n",
        b",",
        b";",
        b"\xff",
        b"\x00",
        b"\xef\xbb\xbf",
        b"text",
        b"null",
        b"PAR1",
        line({"messages": pair(1)}),
        line({"text": "a"}),
        line([{"text": "a"}, 3]),
        b"prompt,completion\na,b\n",
    ]
)
_CONTENT = st.lists(st.one_of(_PIECES, st.binary(max_size=8)), max_size=8).map(b"".join)
_NAMES = st.sampled_from(
    [
        f"a{ending}{packed}"
        for ending in (".jsonl", ".json", ".csv", ".txt", ".parquet")
        for packed in ("", ".gz", ".zst", ".bz2", ".xz")
    ]
)


@settings(max_examples=600, deadline=None)
@given(_NAMES, _CONTENT, st.booleans())
def test_any_bytes_are_read_or_told(name: str, content: bytes, packed: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(gzip.compress(content) if packed and name.endswith(".gz") else content)
        files = sources([path])
        report = check(files, Wish())
        told = [one for one in records(files[0]) if isinstance(one, Fault)]
    assert set(report.counts) <= set(CATALOGUE)
    assert report.rows + report.counts["file.empty"] >= 1
    assert all(one.place.line >= 1 for one in told)


def test_lines_are_numbered_as_an_editor_does(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [line({"messages": pair(number, answer="long " * 500)}) for number in range(2000)]
    rows[1500] = b"{"
    path.write_bytes(b"\n\n" + b"\r\n".join(rows))
    assert path.stat().st_size > 4 * 1024 * 1024
    report = check(sources([path]), Wish())
    assert [str(one.place) for one in report.shown["json.broken"]] == [f"{path}:1503"]
    assert report.rows == 2000


@pytest.mark.parametrize(
    "content", [b'[{"text": "a"}, 3]', b'{"data": [{"text": "a"}, 3]}', b'{"rows": [{"text": "a"}, 3]}']
)
def test_what_is_no_row_is_told_by_its_number_in_a_list(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    report = check(sources([path]), Wish())
    assert {kind: [str(one.place) for one in report.shown[kind]] for kind in report.kinds} == {
        "json.not_object": [f"{path}:2"]
    }
    assert (report.form, report.rows) == ("text", 2)


def test_a_row_whose_only_key_is_a_list_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(line({"messages": pair(1)}))
    assert check(sources([path]), Wish()).kinds == ()
    path.write_bytes(b'{"words": ["a", "b"]}')
    report = check(sources([path]), Wish())
    assert (report.rows, report.kinds) == (1, ("form.unknown",))


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.txt", "a.jsonl.gz"])
@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32-le", "UTF-32"),
        ("utf-32-be", "UTF-32"),
    ],
)
def test_other_encodings_are_known_by_their_mark(tmp_path: Path, name: str, encoding: str, told: str) -> None:
    path = tmp_path / name
    content = '\ufeff{"text": "a"}'.encode(encoding)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    report = check(sources([path]), Wish())
    assert report.kinds == ("encoding.wide",)
    (fault,) = report.shown["encoding.wide"]
    assert f"`iconv -f {told} -t UTF-8`" in fault.reason
    assert "LATIN1" not in fault.reason + CATALOGUE[fault.kind].advice


def test_the_mark_of_utf_8_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for content in (b"\xef\xbb\xbfa", b"a"):
        path.write_bytes(content)
        (source,) = sources([path])
        assert [one.value for one in records(source) if not isinstance(one, Fault)] == [{"text": "a"}]


def test_a_folder_is_walked_in_order_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    for name in ("b/a.jsonl", "a/z.json.gz", "a/b.TXT", ".hidden/x.jsonl", ".x.jsonl", "README", "a.csv.xz", "c.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = sources(["."], tmp_path)
    assert [one.name for one in found] == ["a/b.TXT", "a/z.json.gz", "a.csv.xz", "b/a.jsonl"]
    assert [(one.layout, one.compression) for one in found] == [
        ("text", None),
        ("json", "gz"),
        ("csv", "xz"),
        ("jsonl", None),
    ]
    assert len(sources([tmp_path, tmp_path / "b", tmp_path / "b" / "a.jsonl"])) == 4
    with pytest.raises(InputError, match="there is no nowhere"):
        sources(["nowhere"], tmp_path)
    with pytest.raises(InputError, match="none is named"):
        sources([])
