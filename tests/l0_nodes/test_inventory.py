"""The inventory as a value, its parts, and what is written for the user."""

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from io import StringIO
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aiops.cli.app import App
from aiops.cli.main import main
from aiops.layers.core.errors import InputError, NotFoundError
from aiops.layers.l0_nodes.hostpattern import expand_pattern
from aiops.layers.l0_nodes.inventory import Inventory, locate, read_inventory
from aiops.layers.l0_nodes.inventory_draft import Host, draft, head_of, parse_hosts, patterns
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.settings import Settings, read_settings
from aiops.layers.l0_nodes.template import is_lasting, is_templated, plain
from aiops.layers.l0_nodes.variables import NodeVariables, mistakes_in, variables_of
from aiops.layers.l0_nodes.variables_page import variables_page

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": tempfile.mkdtemp(prefix="aiops-test-home-")}
atexit.register(shutil.rmtree, ENVIRONMENT["HOME"], ignore_errors=True)  # Ansible makes its own folder in it


def inventory(settings: Settings | None = None) -> Inventory:
    nodes = (
        Node("head", ("head",), frozenset({"head"})),
        *(Node(f"gpu0{number}", ("a100",), frozenset({"workers"})) for number in (1, 2, 3)),
    )
    names = tuple(node.name for node in nodes)
    groups = {"all": names, "head": names[:1], "a100": names[1:]}
    return Inventory(Path("inventory.yml"), "lab", nodes, groups, settings or Settings())


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        (None, "head gpu01 gpu02 gpu03"),
        ("gpu[02-03]", "gpu02 gpu03"),
        ("@workers,!gpu02", "gpu01 gpu03"),
        ("@a100", "gpu01 gpu02 gpu03"),
        ("!@head", "gpu01 gpu02 gpu03"),
        ("gpu03,head", "head gpu03"),
    ],
)
def test_select(on: str | None, expected: str) -> None:
    assert [node.name for node in inventory().select(on)] == expected.split()


@pytest.mark.parametrize("on", ["gpu04", "@storage", "@worker", "gpu01,!gpu01", "gpu[", ""])
def test_selecting_nothing_or_what_is_not_there_is_a_mistake(on: str) -> None:
    with pytest.raises(InputError):
        inventory().select(on)


def test_a_node_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(NotFoundError) as caught:
        inventory().node("gpu1")
    assert caught.value.hints == ("did you mean `gpu01`?",)


def test_locate_goes_by_option_environment_folder_and_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = tmp_path / "etc.yml"
    monkeypatch.setattr("aiops.layers.l0_nodes.inventory.SYSTEM_PATH", system)
    with pytest.raises(InputError, match="there is no inventory"):
        locate(None, {}, tmp_path)
    system.touch()
    assert locate(None, {}, tmp_path) == system
    (tmp_path / "inventory.yml").touch()
    assert locate(None, {}, tmp_path) == tmp_path / "inventory.yml"
    (tmp_path / "env.yml").touch()
    environment = {"AIOPS_INVENTORY": "env.yml"}
    assert locate(None, environment, tmp_path) == tmp_path / "env.yml"
    (tmp_path / "option.yml").touch()
    assert locate(Path("option.yml"), environment, tmp_path) == tmp_path / "option.yml"


# The reference files


def test_the_reference_inventory_is_right(tmp_path: Path) -> None:
    found = read_inventory(REFERENCE / "inventory.yml", ENVIRONMENT, tmp_path)
    assert found.cluster == "my-cluster"
    assert [(node.name, node.connection.address) for node in found.nodes] == [
        ("head", "10.0.0.10"),
        *((f"gpu0{number}", f"10.0.0.{10 + number}") for number in (1, 2, 3, 4)),
    ]
    assert {node.name for node in found.role("workers")} == {f"gpu0{number}" for number in (1, 2, 3, 4)}


def test_what_the_reference_inventory_leaves_out_is_right_too(tmp_path: Path) -> None:
    """Every commented line of it works when the `#` is taken away."""
    text = (REFERENCE / "inventory.yml").read_text()
    lines = []
    for line in text.splitlines():
        bare = line.replace("# ", "", 1)
        optional = line.lstrip().startswith("#") and bare.split(":")[0].strip().isidentifier() and "|" not in line
        lines.append(bare if optional or line.strip() in OPTIONAL else line)
    key = tmp_path / "key"
    key.write_text("x")
    key.chmod(0o600)
    (tmp_path / "inventory.yml").write_text("\n".join(lines).replace("~/.ssh/id_ed25519", str(key)))
    found = read_inventory(tmp_path / "inventory.yml", ENVIRONMENT, tmp_path / "cache")
    assert found.settings == Settings()
    variables = variables_of(found.node("gpu01"))
    assert variables.aiops_shared is not None
    assert variables.aiops_accelerators is not None
    assert variables.aiops_driver_version == "580.95.05"
    assert [node.name for node in found.role("login")] == ["login1", "login2"]
    assert [node.name for node in found.role("storage")] == ["nas"]


OPTIONAL = ("#     login[1:2]:",)


def test_the_reference_settings_are_right() -> None:
    settings = read_settings(REFERENCE / "aiops.toml")
    assert set(settings.roles) == {"head", "workers"}
    assert settings.groups_of("storage") == ("storage",)
    assert settings.variables == {"aiops_ntp_servers": ["ntp1.example.org", "ntp2.example.org"]}
    assert not list(mistakes_in(settings.variables))


def test_the_page_of_variables_is_current() -> None:
    assert (REFERENCE / "variables.md").read_text() == variables_page(), "write it again with `make docs`"


def test_every_variable_is_described_and_its_examples_are_right() -> None:
    for name, field in NodeVariables.model_fields.items():
        assert field.description, name
        for example in field.examples or ():
            assert not list(mistakes_in({name: example})), name
            assert f"example: `{name}: " in variables_page()


def test_words_of_ini_files_are_flags_and_numbers() -> None:
    node = Node(
        "a", aiops={"aiops_swap_off": "No", "aiops_users": [{"name": "a", "uid": "2001"}], "aiops_sysctl": {"x": 1}}
    )
    variables = variables_of(node)
    assert variables.aiops_swap_off is False
    assert variables.aiops_users[0].uid == 2001
    assert variables.aiops_sysctl == {"x": 1}
    assert list(mistakes_in({"aiops_users": [{"name": "a", "uid": True}]}))


# Host patterns


def test_patterns_stand_for_the_hosts_ansible_makes_of_them(tmp_path: Path) -> None:
    """Many patterns at once, each in a group of its own."""
    written = [*PATTERNS, *(f"{stem}[{begin}:{end}]" for stem in ("n", "é-") for begin, end in PAIRS)]
    lines = [line for number, pattern in enumerate(written) for line in (f"[g{number}]", pattern)]
    (tmp_path / "hosts").write_text("\n".join(lines))
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-inventory", "-i", tmp_path / "hosts", "--list"],
        capture_output=True,
        env=ENVIRONMENT,
        text=True,
        check=True,
    )
    listing = json.loads(done.stdout)
    for number, pattern in enumerate(written):
        names, port = expand_pattern(pattern)
        assert list(names) == listing[f"g{number}"]["hosts"], pattern
        if port is not None:
            assert listing["_meta"]["hostvars"][names[0]]["ansible_port"] == port


PATTERNS = (
    "plain",
    "with.dots.example.org:2222",
    "rack[1:3]-node[01:02]",
    "step[00:10:5]",
    "[a:c]x",
    "up[A:C]",
    "mixed[y:B]",
    "[:2]zero",
    "10.0.0.[1:3]",
    "ported[1:2]:2201",
    "fd00::1",
    "[fd00::2]:2202",
    "lone_under",
)
PAIRS = (("1", "3"), ("8", "11"), ("08", "11"), ("000", "002"), ("0", "1"), ("5", "5"), ("99", "101"))


@given(st.lists(st.from_regex(r"[a-z]{1,3}-?[0-9]{0,3}", fullmatch=True), unique=True, max_size=12))
def test_drafted_patterns_stand_for_the_same_names_in_order(names: list[str]) -> None:
    assert [name for pattern in patterns(names) for name in expand_pattern(pattern)[0]] == names


@given(st.text(alphabet="ab01[]:-.", max_size=12))
def test_a_pattern_gives_names_or_a_reason(text: str) -> None:
    try:
        names, _ = expand_pattern(text)
    except ValueError as error:
        assert "`" in str(error)  # noqa: PT017 - either way is right, each with its own proof
    else:
        assert names


# Templates


@pytest.mark.parametrize(
    ("value", "lasting"),
    [
        ("plain", True),
        ("{{ net }}.1", True),
        ("{{ lookup('env', 'X') }}", False),
        ("{{ hidden }}", False),
        ("{{ indirect }}", False),
        ("{{ loop }}", True),
        ("{{ withheld }}", False),
        ("{{ hostvars['b'].x }}", False),
        ("-q {{ net }}", True),
        ({"a": ["{{ indirect }}"]}, False),
        ({"__ansible_vault": "x"}, False),
        ({"__ansible_unsafe": "{{ lookup('env', 'X') }}"}, True),
        (5, True),
    ],
)
def test_what_rests_on_secrets_or_passing_things_is_not_kept(value: object, lasting: bool) -> None:
    variables = {
        "net": "10.0.0",
        "hidden": {"__ansible_vault": "x"},
        "indirect": "{{ hidden }}",
        "loop": "{{ loop }}",
    }
    assert is_lasting(value, variables, secrets={"withheld"}, others_lasting=False) is lasting


def test_marks_of_ansible_are_read() -> None:
    assert is_templated([{"a": "{% if x %}"}])
    assert not is_templated({"a": {"__ansible_unsafe": "{{ x }}"}})
    assert plain({"a": [{"__ansible_unsafe": "{{ x }}"}]}) == {"a": ["{{ x }}"]}


# init


def init(folder: Path, *words: str) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    app = App(ENVIRONMENT, stdout=out, stderr=err, working_folder=folder)
    return main(["cluster", "init", *words], app), out.getvalue(), err.getvalue()


def test_init_writes_the_reference_and_never_overwrites(tmp_path: Path) -> None:
    assert init(tmp_path) == (
        0,
        f"{tmp_path / 'inventory.yml'}\n",
        "hint: edit it, then `aiops cluster validate inventory.yml`\n",
    )
    assert (tmp_path / "inventory.yml").read_text() == (REFERENCE / "inventory.yml").read_text()
    (tmp_path / "inventory.yml").write_text("mine")
    code, out, err = init(tmp_path)
    assert (code, out) == (2, "")
    assert "exists, and is left as it is" in err
    assert (tmp_path / "inventory.yml").read_text() == "mine"
    assert [file.name for file in tmp_path.iterdir()] == ["inventory.yml"]


def test_init_from_a_node_set(tmp_path: Path) -> None:
    code, _, err = init(tmp_path, "site.yml", "--from", "gpu[01-16],mgmt1")
    assert code == 0
    assert "head mgmt1, workers gpu[01-16]" in err
    document = yaml.safe_load((tmp_path / "site.yml").read_text())
    assert document["all"]["children"]["head"] == {"hosts": {"mgmt1": None}}
    assert document["all"]["children"]["workers"] == {"hosts": {"gpu[01:16]": None}}
    found = read_inventory(tmp_path / "site.yml", ENVIRONMENT, tmp_path / "cache")
    assert len(found.nodes) == 17


def test_init_from_a_file_of_hosts(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("# site\n10.0.0.1 alpha\nbeta 10.0.0.2 # new\n\ngamma[1-2]\nyes 10.0.0.9\n")
    code, out, _ = init(tmp_path, "--from", "hosts", "--head", "beta", "--json")
    assert code == 0
    assert json.loads(out)["head"] == "beta"
    found = read_inventory(tmp_path / "inventory.yml", ENVIRONMENT, tmp_path / "cache")
    assert {node.name: node.connection.address for node in found.nodes} == {
        "alpha": "10.0.0.1",
        "beta": "10.0.0.2",
        "gamma1": "gamma1",
        "gamma2": "gamma2",
        "yes": "10.0.0.9",
    }
    assert [node.name for node in found.role("head")] == ["beta"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from", "gpu["], "is not a node set"),
        (["--from", "gpu[1-2]", "--head", "gpu3"], "there is no host `gpu3`"),
        (["--head", "a"], "`--head` chooses among the hosts of `--from`"),
        (["--from", "hosts"], "the list of hosts hosts is wrong"),
        (["--from", "/nope"], "`/nope` is no name for a host, and there is no file `/nope`"),
        (["--from", "bytes"], "cannot be read: it is not UTF-8 text"),
        (["nowhere/inventory.yml"], "cannot be written"),
    ],
)
def test_init_refuses_what_it_cannot_use(words: Iterable[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("a b c\na 10.0.0.1\na 10.0.0.2\n$x\n")
    (tmp_path / "bytes").write_bytes(b"\xff")
    code, out, err = init(tmp_path, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / "inventory.yml").exists()


def test_a_list_of_hosts_tells_all_its_mistakes() -> None:
    with pytest.raises(InputError) as caught:
        parse_hosts("a b c\na 10.0.0.1\na 10.0.0.2\n$x\n", "hosts")
    assert [(problem.line, problem.message) for problem in caught.value.problems] == [
        (1, "`a b c` is not `NAME` or `NAME ADDRESS`"),
        (3, "`a` is named twice"),
        (4, "`$x` is no name for a host"),
    ]


def test_one_host_is_its_own_head() -> None:
    host = Host("only")
    assert head_of([host], None) is host
    document = yaml.safe_load(draft((REFERENCE / "inventory.yml").read_text(), [host], host))
    assert document["all"]["children"]["workers"] == {"hosts": {}}
