"""Bad inventories: each mistake is told with its file, its line and what to do, by the command and with exit code 2."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from textwrap import dedent

import pytest

from aiops.cli.app import App
from aiops.cli.main import main

GOOD = "all: {children: {head: {hosts: {h: }}, workers: {hosts: {w: }}}}"
VAULTED = """!vault |
        $ANSIBLE_VAULT;1.1;AES256
        61646365643237613834336131643161333063393164393061653862353037636138333138363134
        6663366433306538333533376135643530343562363163370a643433306332653233306465393833
        30303934336261623134616332336331356430303736333638306634326264336435343838623966
        3764383462366262390a353235383765336463323435333132653130313861323535346562646534
        3337
"""


@dataclass(frozen=True)
class Bad:
    """Files with a mistake, and what is to be said: file, line, words, hint."""

    name: str
    files: Mapping[str, str]
    expected: tuple[tuple[str, int | None, str, str | None], ...]
    path: str = "inventory.yml"
    environment: Mapping[str, str] = field(default_factory=dict)


def one(  # noqa: PLR0917 - a row of the table below
    name: str, text: str, line: int | None, words: str, hint: str | None, path: str = "inventory.yml"
) -> Bad:
    """A case of one file with one mistake."""
    return Bad(name, {path: text}, ((path, line, words, hint),), path)


CASES = (
    one(
        "a key written twice",
        """
        all:
          hosts:
            a: {ansible_host: 10.0.0.1}
            b:
            a: {ansible_host: 10.0.0.2}
        """,
        5,
        "the key `a` is written twice, first in line 3",
        "remove or rename one `a`",
    ),
    one(
        "a key twice on one line",
        "all: {hosts: {a: {ansible_port: 1, ansible_port: 2}}}",
        1,
        "the key `ansible_port` is written twice",
        "remove or rename",
    ),
    one(
        "a variable twice in an INI section",
        """
        [head]
        h ansible_port=1 ansible_port=2
        [all:vars]
        ansible_user=a
        ansible_user=b
        """,
        5,
        "`ansible_user` of the group `all` is written twice, first in line 4",
        "remove one `ansible_user`",
        "hosts.ini",
    ),
    one(
        "one address and port twice",
        """
        all:
          hosts:
            a:
              ansible_host: 10.0.0.1
            b:
              ansible_port: 22
              ansible_host: 10.0.0.1
        """,
        7,
        "`a` and `b` have the same address, 10.0.0.1:22",
        "give `b` its own `ansible_host` or `ansible_port`",
    ),
    one(
        "one address twice, from templates",
        """
        all:
          vars: {ansible_host: "10.0.0.{{ 4 + 1 }}"}
          hosts: {a: , b: }
        """,
        2,
        "`a` and `b` have the same address, 10.0.0.5:22",
        "give `b` its own",
    ),
    one(
        "a cycle of groups",
        """
        a:
          children:
            b:
        b:
          children:
            c:
        c:
          children:
            a:
          hosts:
            h:
        """,
        9,
        "groups contain each other: c > a > b > c",
        "remove `a` from the children of `c`",
    ),
    one(
        "a cycle of groups in INI",
        """
        [a:children]
        b
        [b:children]
        a
        """,
        4,
        "groups contain each other: b > a > b",
        "remove `a` from the children of `b`",
        "hosts",
    ),
    one(
        "two heads",
        """
        all:
          children:
            head:
              hosts:
                h1:
                h2:
            workers: {hosts: {w: }}
        """,
        6,
        "a cluster has one head, here are 2: h1, h2",
        "leave one of them in `head`",
    ),
    one(
        "two heads in one range",
        """
        [head]
        h[1:2]
        """,
        2,
        "a cluster has one head, here are 2: h1, h2",
        "leave one of them in `head`",
        "hosts.ini",
    ),
    one("a list instead of a mapping", "- a\n- b\n", 1, "must be a mapping, is a list", "aiops cluster init"),
    one("plain text", "just some words", 1, "must be a mapping, is a plain value", "aiops cluster init"),
    one("an empty file", "# nothing\n", None, "is empty", "`aiops cluster init` writes a commented one"),
    one("no hosts", "all: {hosts: {}}", None, "there is no node in it", "add one below `hosts:`"),
    one(
        "broken YAML",
        """
        all:
          hosts:
            a: {b: [}
        """,
        3,
        "is not YAML:",
        None,
    ),
    one(
        "hosts as a list",
        """
        all:
          hosts:
            - a
        """,
        3,
        "`hosts` of the group `all` must be a mapping, is a list",
        "write `NAME:` instead of `- NAME`",
    ),
    one(
        "host instead of hosts",
        """
        all:
          hosts: {h: }
        workers:
          host: {w: }
        """,
        4,
        "`host` in the group `workers` is none of hosts, vars, children",
        "did you mean `hosts`?",
    ),
    one("a number as a host", "all: {hosts: {17: }}", 1, "the name of a host must be text, is `17`", 'quote it: "17"'),
    one("an empty range", "all: {hosts: {'gpu[04:01]': }}", 1, "the range `[04:01]` is empty", None),
    one("a range with a dash", "all: {hosts: {'gpu[01-04]': }}", 1, "a range is written `[01:04]`", None),
    one("a range without end", "[workers]\ngpu[01:]", 2, "the range `[01:]` has no end", None, "hosts"),
    one("a range left open", "[workers]\ngpu[01:04", 2, "has a `[` without its `]`", None, "hosts"),
    one("unequal widths", "[workers]\ngpu[01:4]", 2, "two numbers of equal width", None, "hosts"),
    one(
        "a child that does not exist",
        """
        [all:children]
        nope
        [head]
        h
        """,
        2,
        "[all:children] includes `nope`, a group that does not exist",
        "add a section `[nope]`",
        "hosts.ini",
    ),
    one("an unknown section", "[head:host]\nh", 1, "`[head:host]` is none of", "write `[head:vars]`", "hosts.ini"),
    one("words behind a host", "[head]\nh ops x=1", 2, "`ops` is not `name=value`", "write variables as", "hosts.ini"),
    one(
        "an unknown variable",
        """
        all:
          vars:
            aiops_bundl: x
          hosts: {a: , b: }
        """,
        3,
        "there is no variable `aiops_bundl` (on a,b)",
        "did you mean `aiops_bundle`?",
    ),
    one(
        "a wrong type",
        """
        all:
          vars: {aiops_swap_off: true}
          hosts:
            a: {aiops_swap_off: perhaps}
        """,
        4,
        "`aiops_swap_off` must be a boolean, not 'perhaps' (on a)",
        None,
    ),
    one(
        "a number that should be text",
        "all: {hosts: {a: {aiops_driver_version: 580.95}}}",
        1,
        "`aiops_driver_version` must be a string, not 580.95",
        'quote it: "580.95"',
    ),
    one(
        "a wrong part of a map",
        "all: {hosts: {a: {aiops_shared: {path: /shared, sorce: x, type: nfs}}}}",
        1,
        "there is no variable `aiops_shared.sorce`",
        "did you mean `source`?",
    ),
    one(
        "text of the wrong form",
        "all: {hosts: {a: {aiops_shared: {path: shared, source: x}}}}",
        1,
        "`aiops_shared.path` must match pattern '^/', not 'shared' (on a)",
        "for example `aiops_shared:",
    ),
    one("an unknown engine", "all: {hosts: {a: {aiops_engine: pbs}}}", 1, "must be 'slurm' or 'ssh', not 'pbs'", None),
    one("a wrong port", "all: {hosts: {a: {ansible_port: http}}}", 1, "`ansible_port` must be a port from 1", None),
    one(
        "a user that ssh does not take",
        "all: {hosts: {a: {ansible_user: 'say \"x\"'}}}",
        1,
        "`ansible_user`: ssh takes no user called 'say \"x\"'",
        None,
    ),
    one(
        "a wrong flag", "all: {hosts: {a: {ansible_become: maybe}}}", 1, "`ansible_become` must be true or false", None
    ),
    one(
        "a kind of connection that aiops does not know",
        "all: {hosts: {a: {ansible_connection: docker}}}",
        1,
        "connections of the kind `docker` are not supported",
        None,
    ),
    one(
        "a missing key",
        """
        all:
          vars:
            ansible_ssh_private_key_file: /nowhere/key
          hosts: {a: , b: }
        """,
        3,
        "the private key /nowhere/key does not exist (on a,b)",
        "correct `ansible_ssh_private_key_file`",
    ),
    Bad(
        "a key that others can read",
        {"inventory.yml": "all: {hosts: {a: {ansible_ssh_private_key_file: HERE/id.pub}}}", "id.pub": "x"},
        (("inventory.yml", 1, "can be read by others, so ssh refuses it", "`chmod 600"),),
    ),
    one(
        "an undefined variable in a template",
        """
        all:
          hosts:
            a:
              ansible_host: "{{ net }}.1"
            b: {ansible_host: 10.0.0.2}
        """,
        4,
        "`ansible_host` needs `net`, which is not defined (on a)",
        "define `net`",
    ),
    Bad(
        "an undecryptable value",
        {"inventory.yml": f"all:\n  hosts:\n    a:\n      ansible_become_password: {VAULTED}"},
        (("inventory.yml", 4, "`ansible_become_password` cannot be decrypted", "export ANSIBLE_VAULT_PASSWORD_FILE"),),
    ),
    Bad(
        "an undecryptable file",
        {"inventory.yml": GOOD, "group_vars/all/vault.yml": VAULTED.partition("\n")[2]},
        (("group_vars/all/vault.yml", 1, "cannot be decrypted", "export ANSIBLE_VAULT_PASSWORD_FILE=FILE"),),
    ),
    Bad(
        "a directory without an inventory",
        {"site/README.md": "nothing here", "site/group_vars/all.yml": "a: 1"},
        (("site", None, "the directory holds no inventory", "put an inventory in it"),),
        "site",
    ),
    Bad(
        "a variable file that is not a mapping",
        {"inventory.yml": GOOD, "group_vars/workers.yml": "- a\n"},
        (("group_vars/workers.yml", 1, "must be a mapping, is a list", None),),
    ),
    Bad(
        "a key twice in a variable file",
        {"inventory.yml": GOOD, "host_vars/w.yml": "a: 1\nb: 2\na: 3\n"},
        (("host_vars/w.yml", 3, "the key `a` is written twice", "remove or rename"),),
    ),
    Bad(
        "a mistake in a variable file",
        {"inventory.yml": GOOD, "group_vars/workers.yml": "x: 1\naiops_packages: tmux\n"},
        (("group_vars/workers.yml", 2, "`aiops_packages` must be a list", "for example `aiops_packages:"),),
    ),
    Bad(
        "an unknown group in aiops.toml",
        {"inventory.yml": GOOD, "aiops.toml": '[roles]\nworkers = ["worker"]\nhead = ["head"]\n'},
        (("aiops.toml", 2, "role `workers`: there is no group `worker`", "did you mean `workers`?"),),
    ),
    Bad(
        "a wrong variable in aiops.toml",
        {"inventory.yml": GOOD, "aiops.toml": "[variables]\naiops_engine = 5\n"},
        (("aiops.toml", 2, "`aiops_engine` must be 'slurm' or 'ssh', not 5", None),),
    ),
    Bad(
        "an unknown key in aiops.toml",
        {"inventory.yml": GOOD, "aiops.toml": "aiops = 2\nforkes = 3\ntimeout = -1\n"},
        (
            ("aiops.toml", 1, "`aiops` must be 1", None),
            ("aiops.toml", 2, "unknown key `forkes`", "did you mean `forks`?"),
            ("aiops.toml", 3, "`timeout` must be a number of seconds above 0", None),
        ),
    ),
    Bad(
        "broken TOML",
        {"inventory.yml": GOOD, "aiops.toml": "aiops = 1\n[roles\n"},
        (("aiops.toml", 2, "is not TOML", None),),
    ),
    Bad(
        "two names of the cluster",
        {"inventory.yml": "all:\n  hosts:\n    a: {aiops_cluster: x}\n    b: {aiops_cluster: y}\n"},
        (("inventory.yml", 4, "`aiops_cluster` must be the same on all nodes", "set it once"),),
    ),
    Bad(
        "many at once",
        {
            "inventory.yml": """
            all:
              vars: {aiops_swap: 1, aiops_engine: none}
              children:
                head: {hosts: {h1: , h2: {ansible_host: h1}}}
                workers:
                  hosts:
                    w[1:2]: {ansible_port: 0}
                  hosts:
                    w3: {ansible_ssh_private_key_file: HERE/nowhere}
            """
        },
        (
            ("inventory.yml", 2, "there is no variable `aiops_swap`", "did you mean `aiops_swap_off`?"),
            ("inventory.yml", 2, "`aiops_engine` must be", None),
            ("inventory.yml", 4, "a cluster has one head", None),
            ("inventory.yml", 4, "`h1` and `h2` have the same address", None),
            ("inventory.yml", 8, "the key `hosts` is written twice", None),
            ("inventory.yml", 9, "/nowhere does not exist", None),
        ),
    ),
)


def validate(folder: Path, *words: str, environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    home = {"PATH": "/usr/bin:/bin", "HOME": str(folder / "home"), "AIOPS_HOME": str(folder / "state")}
    app = App({**home, **(environment or {})}, stdout=out, stderr=err, working_folder=folder)
    code = main(["cluster", "validate", *words], app)
    return code, out.getvalue(), err.getvalue()


def write(files: Mapping[str, str], folder: Path) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n").replace("HERE", str(folder)))


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
def test_a_mistake_is_told_with_its_place(bad: Bad, tmp_path: Path) -> None:
    write(bad.files, tmp_path)
    code, out, _ = validate(tmp_path, bad.path, "--json", environment=bad.environment)
    assert code == 2
    error = json.loads(out)["error"]
    problems = error["problems"]
    for file, line, words, hint in bad.expected:
        found = [problem for problem in problems if words in problem["message"]]
        assert len(found) == 1, (words, problems)
        assert (found[0]["file"], found[0]["line"]) == (str(tmp_path / file), line)
        assert hint is None or hint in found[0]["hint"]
    if bad.name != "many at once":
        assert len(problems) <= len(bad.expected) + 2
    assert not list((tmp_path / "state").glob("cache/*")), "a wrong inventory is not kept"


def test_mistakes_are_shown_to_a_person_with_their_hints(tmp_path: Path) -> None:
    write({"inventory.yml": "all:\n  hosts:\n    a: {aiops_engin: ssh}\n"}, tmp_path)
    code, out, err = validate(tmp_path)
    assert (code, out) == (2, "")
    place = tmp_path / "inventory.yml"
    assert err.splitlines() == [
        f"error: {place} has 1 mistake",
        f"  {place}:3: there is no variable `aiops_engin` (on a)",
        "    did you mean `aiops_engine`?",
        "",
        f"hint: then try again: `aiops cluster validate {place}`",
    ]


def test_a_right_inventory_is_told_so(tmp_path: Path) -> None:
    write({"site.yml": GOOD}, tmp_path)
    code, out, _ = validate(tmp_path, "site.yml")
    assert (code, out) == (0, f"{tmp_path / 'site.yml'} is right: cluster site, 2 nodes, head h, workers w\n")
    code, out, _ = validate(tmp_path, "-i", "site.yml", "--json")
    document = json.loads(out)
    assert (code, document["nodes"], document["problems"]) == (0, ["h", "w"], [])
    assert document["roles"] == {"head": ["h"], "workers": ["w"], "storage": [], "login": []}


@pytest.mark.parametrize(
    ("words", "environment", "message"),
    [
        ([], {}, "there is no inventory: neither"),
        (["nowhere.yml"], {}, "there is no inventory nowhere.yml"),
        ([], {"AIOPS_INVENTORY": "else.yml"}, "there is no inventory else.yml"),
    ],
)
def test_no_inventory_leads_to_init(
    words: list[str], environment: Mapping[str, str], message: str, tmp_path: Path
) -> None:
    code, out, err = validate(tmp_path, *words, environment=environment)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert "hint: `aiops cluster init` writes one" in err


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write({"site/hosts": "[head]\nh\n"}, tmp_path)
    iterdir = Path.iterdir

    def refuse(path: Path) -> object:
        if path == tmp_path / "site":
            raise PermissionError(13, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refuse)  # root may list everything
    code, _, err = validate(tmp_path, "site")
    assert code == 2
    assert f"{tmp_path / 'site'}: cannot be read: Permission denied" in err


def test_the_broken_settings_of_ansible_are_told_in_its_words(tmp_path: Path) -> None:
    write({"inventory.yml": GOOD, "ansible.cfg": "[defaults]\nremote_user = a\nremote_user = b\n"}, tmp_path)
    code, _, err = validate(tmp_path)
    assert code == 2
    assert "ansible.cfg" in err
    assert "Traceback" not in err


def _refused(tmp_path: Path) -> str:
    err = StringIO()
    environment = {"AIOPS_HOME": str(tmp_path / "home"), "PATH": "/usr/bin"}
    assert main(["cluster", "validate", "folder"], App(environment, stderr=err, working_folder=tmp_path)) == 2
    return err.getvalue()


def test_a_folder_that_is_no_inventory_runs_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(9):
        program = folder / f"program{number}"
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        program.chmod(0o755)
    assert "more than 8 executable files" in _refused(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_folder_of_everything_is_refused_unread(tmp_path: Path) -> None:
    folder = tmp_path / "folder" / "deeper"
    folder.mkdir(parents=True)
    for number in range(251):
        (folder / f"{number}.conf").touch()
    assert "more than 250 files" in _refused(tmp_path)


def test_a_pipe_among_the_files_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / "pipe")
    assert "not a plain one" in _refused(tmp_path)
