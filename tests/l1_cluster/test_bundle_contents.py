"""What is in a bundle, told to other tools; what cannot be had, told together; a tree compared with its list."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from aiops.layers.core.errors import FailedError, Problem
from aiops.layers.l1_cluster.bundle.closure import Closure, missing
from aiops.layers.l1_cluster.bundle.cyclonedx import bill_of_materials
from aiops.layers.l1_cluster.bundle.manifest import Artefact
from aiops.layers.l1_cluster.bundle.target import Target
from aiops.layers.l1_cluster.bundle.workspace import Wanted
from aiops.layers.l1_cluster.change import difference
from aiops.layers.l1_cluster.observation import TREE, Observation, asks_for, parse_tree
from aiops.layers.l1_cluster.resource import Tree

BOOKWORM = Target("bookworm", "amd64")


def test_the_bill_of_materials_names_packages_as_other_tools_know_them() -> None:
    deb = Artefact(
        *("deb", "apt/pool/noble/c.deb", "ab", 1, "libc6", "2:1.0+b~1", "arm64", "noble", "LGPL-2.1", "http://m/c.deb")
    )
    wheel = Artefact("wheel", "wheels/x.whl", "cd", 1, "Ruamel_Yaml", "1.0", "amd64")
    index = Artefact("index", "apt/dists/noble/Release", "ef", 1, "Release")
    first, second = json.loads(bill_of_materials([deb, wheel, index]))["components"]
    assert first["purl"] == "pkg:deb/ubuntu/libc6@2%3A1.0%2Bb~1?arch=arm64&distro=noble"
    assert first["licenses"] == [{"license": {"name": "LGPL-2.1"}}]
    assert first["hashes"] == [{"alg": "SHA-256", "content": "ab"}]
    assert first["externalReferences"][0]["url"] == "http://m/c.deb"
    assert second["purl"] == "pkg:pypi/ruamel-yaml@1.0"
    assert "licenses" not in second
    assert bill_of_materials([deb, wheel]) == bill_of_materials([deb, wheel, index])


class Apt:
    """An apt that has nothing of `lacking`."""

    target = BOOKWORM

    def __init__(self, *lacking: str, code: str = "bundle.missing") -> None:
        self.lacking = lacking
        self.code = code

    def resolve(self, wanted: Sequence[Wanted]) -> tuple[Any, ...]:
        problems = [Problem(f"{one.name} (wanted by {one.by})") for one in wanted if one.name in self.lacking]
        if problems:
            raise FailedError("no", code=self.code, problems=problems)
        return ()


def test_all_that_cannot_be_had_is_told_at_once_with_who_wants_it() -> None:
    wanted = [Wanted("a", "phase x"), Wanted("b", "phase x"), Wanted("c", "aiops_packages of gpu01")]
    with pytest.raises(FailedError) as caught:
        Closure.resolve(Apt("a", "c"), wanted)  # type: ignore[arg-type]
    assert [one.message for one in caught.value.problems] == [
        "a (wanted by phase x)",
        "c (wanted by aiops_packages of gpu01)",
    ]
    assert caught.value.message == "2 packages cannot be had for bookworm/amd64"
    assert "--source" in missing([BOOKWORM], []).hints[0]


def test_another_trouble_of_apts_is_not_taken_for_a_missing_package() -> None:
    with pytest.raises(FailedError) as caught:
        Closure.resolve(Apt("a", code="bundle.index"), [Wanted("a", "x"), Wanted("c", "y")])  # type: ignore[arg-type]
    assert caught.value.code == "bundle.index"


# ------------------------------------------------------------------------------------------------ trees

TREE_OF_TWO = Tree("/srv/b", {"a": "1" * 64, "apt/b": "2" * 64}, 10**9)


def test_a_tree_is_asked_for_with_time_for_its_size() -> None:
    (ask,) = asks_for([TREE_OF_TWO])
    assert ask.name == f"{TREE}:/srv/b"
    assert ask.argv[:4] == ("python3", "-I", "-S", "-c")
    assert ask.argv[5:] == ("/srv/b",)
    assert ask.timeout > 30
    (thorough,) = asks_for([TREE_OF_TWO], thorough=True)
    assert set(thorough.argv) > set(ask.argv)  # what was looked at thoroughly need not be asked for again


def test_what_a_node_says_of_a_tree_is_read_with_links_and_strange_names() -> None:
    text = f"!/srv/b/link\n{'1' * 64}  /srv/b/a\n\\{'2' * 64}  /srv/b/new\\nline\n"
    assert parse_tree("/srv/b", text) == {"link": "", "a": "1" * 64, "new\nline": "2" * 64}


@pytest.mark.parametrize(
    ("found", "action", "words"),
    [
        ({}, "create", "absent"),
        ({"a": "1" * 64}, "write", "with 1 missing (apt/b)"),
        ({"a": "1" * 64, "apt/b": "3" * 64}, "write", "with 1 changed (apt/b)"),
        ({**TREE_OF_TWO.digests, "x": "", "y": "4" * 64}, "write", "with 2 not ours (x, ...)"),
    ],
)
def test_a_tree_that_differs_names_what_does(found: dict[str, str], action: str, words: str) -> None:
    (change,) = difference([TREE_OF_TWO], Observation(trees={"/srv/b": found}))
    assert (change.key, change.action, change.expected, change.found) == ("tree:/srv/b", action, "2 files", words)


def test_a_tree_that_is_right_or_could_not_be_read() -> None:
    assert difference([TREE_OF_TWO], Observation(trees={"/srv/b": dict(TREE_OF_TWO.digests)})) == ()
    unread = Observation(unknown={f"{TREE}:/srv/b": "did not answer in time"})
    (change,) = difference([TREE_OF_TWO], unread)
    assert (change.action, change.found) == ("read", "did not answer in time")
