"""Who is told: their settings, `aiops health notify`, and what cron's looks send, whatever becomes of the receiver."""

import errno
import io
import json
import os
import socket
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import NoReturn, cast

import pytest
from tests.l1_cluster.test_notifier_contract import CANARY, Receiver, listening, mail_server, web_server

from aiops.cli.app import App
from aiops.cli.health import acting, cron
from aiops.cli.health.acting import LOCK, REPAIRS, Acted
from aiops.cli.health.looking import Looking
from aiops.cli.repairing import Repairs
from aiops.layers.core.errors import AiopsError, ConflictError, FailedError, InputError
from aiops.layers.core.plugin import Plugins
from aiops.layers.core.store import Store
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.settings import read_settings
from aiops.layers.l1_cluster.health import news, outbox
from aiops.layers.l1_cluster.health.episode import Episode
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.history import HealthHistory, Recalled
from aiops.layers.l1_cluster.health.notifier import read_notifiers
from aiops.layers.l1_cluster.health.outbox import read_outbox
from aiops.layers.l1_cluster.health.round import Report
from aiops.layers.l1_cluster.health.settling import Settled
from aiops.layers.l1_cluster.health.site import Site

Shown = Callable[..., str]
PLUGINS = Plugins([EntryPoint(f"notifier.{one}", f"aiops.plugins.{one}", "aiops") for one in ("mail", "webhook")])
NOW = datetime.now(tz=UTC)
INVENTORY = """
away:
  vars: {{aiops_cluster: lab-a}}
  hosts:
    gone: {{ansible_host: 127.0.0.1, ansible_port: {port}, ansible_user: root}}
"""


@pytest.fixture(autouse=True)
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inventory.yml").write_text(INVENTORY.format(port=nobody()))
    monkeypatch.setattr(cron, "JITTER_SECONDS", 0.0)


def nobody() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[Receiver]:
    receiver = Receiver()
    with listening(web_server(receiver), receiver):
        wish(tmp_path, receiver.port)
        yield receiver


def wish(folder: Path, port: int, more: str = "") -> None:
    (folder / "aiops.toml").write_text(
        f'[health.notify.webhook]\nurl = "http://127.0.0.1:{port}/hook"\ninsecure = true\n{more}'
    )


def told(receiver: Receiver) -> list[list[tuple[str, str]]]:
    return [[(one["turn"], one["check"]) for one in json.loads(body)["changes"]] for body in receiver.bodies]


def look(shown: Shown) -> str:
    return shown("health", "--cron", "--check", "time.sync", plugins=PLUGINS)


def test_a_look_from_cron_tells_what_has_changed_and_only_that(shown: Shown, hook: Receiver) -> None:
    first = look(shown)
    assert first.startswith("exit: 3\n--- stdout\ngone unknown: node.reachable: ")
    assert told(hook) == [[("came", "node.reachable")]]
    (change,) = json.loads(hook.bodies[0])["changes"]
    assert (change["node"], change["verdict"], change["action"], change["owner"]) == ("gone", "unknown", "none", "node")
    assert look(shown) == "exit: 3\n--- stdout\n--- stderr\n"
    assert len(hook.bodies) == 1


def test_a_receiver_that_is_away_fails_nothing_and_is_told_later(shown: Shown, tmp_path: Path, hook: Receiver) -> None:
    wish(tmp_path, nobody())
    first = look(shown)
    assert first.startswith("exit: 3\n")
    assert "warning: notifier `webhook` could not be told, and is tried again at each run: webhook: 127.0.0.1:" in first
    assert look(shown) == "exit: 3\n--- stdout\n--- stderr\n", "it is said once"
    (pending,) = read_outbox(tmp_path / "home/clusters/lab-a/health-notices.json").pending["webhook"]
    wish(tmp_path, hook.port)
    look(shown)
    assert told(hook) == [[("came", "node.reachable")]]
    assert json.loads(hook.bodies[0])["id"] == pending.id


def test_what_a_person_looks_at_is_told_to_nobody_else(shown: Shown, hook: Receiver) -> None:
    shown("health", "--check", "time.sync", plugins=PLUGINS)
    assert hook.bodies == []


def test_a_test_is_sent_to_all(shown: Shown, tmp_path: Path, hook: Receiver) -> None:
    letters = Receiver()
    with listening(mail_server(letters), letters):
        table = f'server = "127.0.0.1:{letters.port}"\ntls = "none"\nto = "ops@example.org"\nfrom = "a@example.org"\n'
        wish(tmp_path, hook.port, f"[health.notify.mail]\n{table}")
        screen = shown("health", "notify", plugins=PLUGINS)
    assert screen == (
        f"exit: 0\n--- stdout\nwebhook\tsent\t127.0.0.1:{hook.port}\n"
        f"mail\tsent\tops@example.org by 127.0.0.1:{letters.port}\n--- stderr\n"
    )
    assert json.loads(hook.bodies[0])["test"] is True
    assert b"nothing has happened" in letters.bodies[0]


def test_a_test_that_does_not_arrive(shown: Shown, tmp_path: Path) -> None:
    wish(tmp_path, port := nobody())
    screen = shown("health", "notify", plugins=PLUGINS)
    assert screen.startswith(f"exit: 3\n--- stdout\nwebhook\tfailed\t127.0.0.1:{port}\n--- stderr\nerror: webhook: ")
    document = json.loads(
        shown("health", "notify", "--json", plugins=PLUGINS).partition("--- stdout\n")[2].partition("--- stderr")[0]
    )
    assert "does not answer" in document[0]["error"]


def test_a_test_that_is_refused_or_has_no_secret(shown: Shown, tmp_path: Path, hook: Receiver) -> None:
    hook.refuses = True
    assert "answered with status 503" in (screen := shown("health", "notify", plugins=PLUGINS))
    assert screen.startswith("exit: 1\n")
    (tmp_path / "token").write_text(CANARY)
    os.chmod(tmp_path / "token", 0o644)  # noqa: PTH101 - as a person does
    wish(tmp_path, hook.port, 'token_file = "token"\n')
    screen = shown("health", "notify", plugins=PLUGINS)
    assert "token (`token_file` of a notifier) can be read by everybody" in screen
    assert "hint: `chmod 600 [TMP]/token`" in screen
    assert CANARY not in screen


def test_a_full_disk_fails_no_look(shown: Shown, hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, made: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(outbox, "write_outbox", full)
    screen = look(shown)
    assert screen.startswith("exit: 3\n--- stdout\ngone unknown: node.reachable: ")
    assert screen.count("warning: ") == 1
    assert "cannot be written down, and is told again by the next look: No space left on device" in screen
    assert hook.bodies == [], "nothing is sent that is not written down"


def test_a_disk_without_room_for_the_lock_fails_no_look(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cron, "folder_of", lambda _: Path("/dev/null/full"))
    assert look(shown).startswith("exit: 3\n--- stdout\ngone unknown: node.reachable: ")


def test_what_a_node_that_is_silent_was_found_to_have_is_not_over(shown: Shown, tmp_path: Path, hook: Receiver) -> None:
    """Nor what another check has found, nor what is of a node that was not asked."""
    hot = Episode("gone", "gpu.temp", "GPU 3", "critical", "96 °C", NOW, NOW)
    with Store.open(tmp_path / "home", {}) as store:
        HealthHistory(store, "lab-a").keep(
            Settled(began=(hot,)), Recalled(), at=NOW, verdicts={"gone": "critical"}, counters={}, boot_ids={}
        )
    known = news.ongoing([Finding("gone", "gpu.temp", "critical", "96 °C", "GPU 3")], {"repair: gone": "not repaired"})
    old = Finding("gone", "disk.used", "warn", "84 %", "/var")
    place = tmp_path / "home/clusters/lab-a"
    place.mkdir(parents=True)
    outbox.write_outbox(place / "health-notices.json", outbox.Outbox({**known, **news.ongoing([old], {})}))
    screen = look(shown)
    assert "over: gone critical" not in screen
    assert "over: not repaired" not in screen
    assert "over: gone warn: disk.used: /var: 84 %\n" in screen, "that has ended: the history does not know it"
    assert told(hook) == [[("came", "node.reachable"), ("over", "disk.used")]]


class Steps:
    """A look whose repairs are watched."""

    def __init__(self, folder: Path, watched: Callable[[], None], repaired: Acted) -> None:
        self.aiops = App(
            {"AIOPS_HOME": str(folder / "home")},
            stdin=io.StringIO(),
            stdout=io.StringIO(),
            stderr=io.StringIO(),
            plugins=Plugins([]),
            working_folder=folder,
        )
        self.inventory = self.aiops.inventory(None)
        self.screen = self.aiops.screen()
        self.notifiers = ()
        self._watched, self._repaired = watched, repaired

    def steps(self) -> Generator[tuple[Report, Acted]]:
        report = Report(NOW, "standard", 1.0, ("gone",), (), {"gone": "ok"}, 1)
        yield report, Acted(("drained gone: x",), {}, more=True)
        self._watched()
        yield report, self._repaired

    @property
    def told(self) -> list[str]:
        assert isinstance(self.aiops.stdout, io.StringIO)
        return self.aiops.stdout.getvalue().splitlines()


def test_all_is_told_and_others_may_look_before_repairs_are_made(tmp_path: Path) -> None:
    seen: list[object] = []

    def watched() -> None:
        seen.extend(one.told)
        with cron._alone(cast("Looking", one)) as alone:
            seen.append(alone)

    one = Steps(tmp_path, watched, Acted(("repaired gone (reboot): it is well",)))
    assert cron.once(cast("Looking", one), fail_on="critical") == 0
    assert seen == ["drained gone: x", True]
    assert one.told == ["drained gone: x", "repaired gone (reboot): it is well"]


@pytest.mark.parametrize(
    ("error", "key"),
    [(ConflictError("bob deploys", code="lock.held"), LOCK), (FailedError("the head is away", code="x"), REPAIRS)],
    ids=["locked", "failed"],
)
def test_why_nothing_is_repaired_is_told_by_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: AiopsError, key: str
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise error

    monkeypatch.setattr(acting, "changing", refuse)
    one = Steps(tmp_path, lambda: None, Acted())
    repairs = Repairs(one.aiops, one.screen, one.inventory, (), Site())
    acted = acting.repair(one.aiops, cast("Fleet", None), one.inventory.nodes, ["aiops", "health"], repairs)
    assert (acted.done, set(acted.waiting)) == ((), {key})
    assert error.message in acted.waiting[key]


def test_a_look_that_acts_tells_the_same(shown: Shown, hook: Receiver) -> None:
    words = ("health", "--cron", "--act", "--check", "time.sync")
    assert shown(*words, plugins=PLUGINS).startswith("exit: 3\n--- stdout\ngone unknown: node.reachable: ")
    assert shown(*words, plugins=PLUGINS) == "exit: 3\n--- stdout\n--- stderr\n"
    assert told(hook) == [[("came", "node.reachable")]]


def test_repairs_that_cannot_be_made_are_told_once(tmp_path: Path) -> None:
    failed = Acted((), {REPAIRS: "what was to be repaired could not be: x"})
    busy = Acted((), {LOCK: "nothing is changed for now: bob deploys"})
    looks = [Steps(tmp_path, lambda: None, repaired) for repaired in (failed, failed, busy, Acted())]
    for one in looks:
        cron.once(cast("Looking", one), fail_on="critical")
    assert [one.told[1:] for one in looks] == [
        ["what was to be repaired could not be: x"],
        [],
        [],
        ["over: what was to be repaired could not be: x"],
    ]


def test_nobody_to_tell(shown: Shown) -> None:
    screen = shown("health", "notify", plugins=PLUGINS)
    assert screen.startswith("exit: 2\n")
    assert "error: lab-a has no notifier\n" in screen


MAIL = 'to = "o@example.org"\nfrom = "a@example.org"\nserver = "mail"\n'


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[health.notify]\nwebhook = 5", 2, "it must be a table, as in `[health.notify.webhook]`"),
        ("[health.notify.webhok]\nurl = 'x'", 1, "there is no notifier `webhok`"),
        ("[health.notify.webhook]\nurk = 'https://x/'", 2, "unknown key `urk`"),
        ("[health.notify.webhook]\ninsecure = true", 1, "must say where to"),
        ("[health.notify.webhook]\nurl = 5", 2, "`url` must be text"),
        ("[health.notify.webhook]\nurl = 'http://x/'", 2, "say `insecure = true`"),
        ("[health.notify.webhook]\nurl = 'ftp://x/'", 2, "must begin with https://"),
        ("[health.notify.webhook]\nurl = 'https://[x/'", 2, "is no address"),
        ("[health.notify.webhook]\nurl = 'https://x:99999/'", 2, "is no address"),
        (f"[health.notify.webhook]\nurl = 'https://me:{CANARY}@x/'", 2, "must hold no user and no password"),
        ("[health.notify.webhook]\nurl = 'https://x/'\ninsecure = 'yes'", 3, "must be true or false"),
        ("[health.notify.webhook]\nurl = 'https://x/'\nurl_file = 'y'", 2, "one of `url`, `url_file`"),
        (
            "[health.notify.webhook]\nurl = 'https://x/'\ntoken_file = 'y'\ntoken_variable = 'Z'",
            3,
            "either `token_file`",
        ),
        (f"[health.notify.mail]\n{MAIL}tls = 'startls'", 5, "must be one of starttls, tls, none"),
        (f"[health.notify.mail]\n{MAIL}user = 'me'", 5, "go together"),
        (
            f"[health.notify.mail]\n{MAIL}tls = 'none'\nuser = 'me'\npassword_file = 'x'",
            5,
            "not sent without encryption",
        ),
        ("[health.notify.mail]\nfrom = 'a@example.org'\nserver = 'mail'", 1, "`to` must name somebody"),
        ("[health.notify.mail]\nto = ['x']\nfrom = 'a@example.org'\nserver = 'mail'", 2, "`x` is no address"),
        ("[health.notify.mail]\nto = 'a@b, c@d'\nfrom = 'a@example.org'\nserver = 'mail'", 2, "is no address"),
        ("[health.notify.mail]\nto = 'o@example.org'\nfrom = 'a@example.org'", 1, "is not HOST or HOST:PORT"),
        (
            "[health.notify.mail]\nto = 'o@example.org'\nfrom = 'a@example.org'\nserver = 'm:0'",
            4,
            "is not HOST or HOST:PORT",
        ),
    ],
)
def test_wrong_settings_are_told_with_their_place(tmp_path: Path, text: str, line: int, message: str) -> None:
    (tmp_path / "aiops.toml").write_text(text + "\n")
    with pytest.raises(InputError) as wrong:
        read_notifiers(read_settings(tmp_path / "aiops.toml"), PLUGINS, {})
    problem = wrong.value.problems[0]
    assert message in problem.message
    assert problem.line == line
    assert CANARY not in str(problem)


@pytest.mark.parametrize("words", [("health", "--on", "gone"), ("health", "notify")], ids=" ".join)
def test_wrong_settings_are_refused_by_every_look(shown: Shown, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "aiops.toml").write_text("[health.notify.webhok]\nurl = 'x'\n")
    screen = shown(*words, plugins=PLUGINS)
    assert screen.startswith("exit: 2\n")
    assert "aiops.toml:1: `health.notify.webhok`: there is no notifier `webhok`" in screen
    assert "did you mean `webhook`?" in screen


def test_notify_must_be_a_table(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "aiops.toml").write_text("[health]\nnotify = 5\n")
    screen = shown("health", "--on", "gone", plugins=PLUGINS)
    assert screen.startswith("exit: 2\n")
    assert "`notify` must be a table" in screen


def test_the_examples_of_the_canonical_file_are_right(tmp_path: Path) -> None:
    """They are commented out there: here they are not."""
    canonical = (Path(__file__).parents[2] / "docs/reference/aiops.toml").read_text()
    example = canonical.partition("# [health.notify.")[2]
    text = "[health.notify." + "\n".join(line.removeprefix("# ") for line in example.splitlines())
    (tmp_path / "aiops.toml").write_text(text)
    found = read_notifiers(read_settings(tmp_path / "aiops.toml"), PLUGINS, {})
    assert [one.name for one in found] == ["webhook", "mail"]
