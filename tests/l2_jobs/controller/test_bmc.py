"""BMCs asked for the controller by real commands: twice where they say off, and nobody waits for one that hangs."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.l2_jobs.controller.rig import ANN, FakeEngine, Rig, job

from aiops.layers.core.clock import SystemClock
from aiops.layers.l0_nodes import power as l0_power
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.power import PowerAnswer
from aiops.layers.l2_jobs import power
from aiops.layers.l2_jobs.action import AskPower
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.controller import bmc
from aiops.layers.l2_jobs.controller.bmc import told_of_power
from aiops.layers.l2_jobs.controller.controller import Controller
from aiops.layers.l2_jobs.controller.hands import Deeds, ThreadedHands
from aiops.layers.l2_jobs.controller.ledger import Ledger
from aiops.layers.l2_jobs.decide import decide
from aiops.layers.l2_jobs.job import Span
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.power import PowerTold
from aiops.layers.l2_jobs.report import Heard, Silent
from aiops.layers.l2_jobs.request import Submit
from aiops.layers.l2_jobs.steady import Steady

NODES = ("n1", "n2")


class Bmcs:
    """BMCs of which each is a script that says what lies in a file, and takes its time where it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        script = folder / "power-of.py"
        script.write_text(
            "import pathlib, sys, time\n"
            "while (said := pathlib.Path(sys.argv[1]).read_text()) == 'hang': time.sleep(0.05)\n"
            "if said == 'stderr': sys.exit(print('Chassis Power is off', file=sys.stderr))\n"
            "print('Chassis Power is ' + said)\n"
        )
        words = [sys.executable, "-I", str(script)]
        self.nodes = {one: Node(one, aiops={"aiops_power_status": [*words, str(folder / one)]}) for one in NODES}
        self.asked: list[str] = []
        self.answered: list[str] = []
        for name in NODES:
            self.say(name, "on")

    def say(self, name: str, what: str) -> None:
        path = self.folder / f"{name}.new"
        path.write_text(what)
        path.rename(self.folder / name)

    def told(self, name: str, now: Callable[[], float]) -> Sequence[PowerTold]:
        self.asked.append(name)
        told = told_of_power(self.nodes[name], now)
        self.answered.append(name)
        return told


@pytest.fixture
def bmcs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bmcs:
    monkeypatch.setattr(power, "APART", 0.2)
    monkeypatch.setattr(bmc, "_PAUSE", 0.25)
    monkeypatch.setattr(power, "AGAIN", 0.5)
    folder = tmp_path / "bmcs"
    folder.mkdir()
    return Bmcs(folder)


def hands_of(bmcs: Bmcs, now: Callable[[], float], warned: list[str]) -> ThreadedHands:
    def nothing(*_: object) -> Any:
        return None

    def examine(names: Sequence[str]) -> dict[str, Place]:
        return {name: Place(name, "ssh", verdict="ok", verdict_at=now(), bmc=True) for name in names}

    return ThreadedHands(
        Deeds(
            *(nothing, nothing, nothing, examine, nothing, nothing, nothing),
            warn=warned.append,
            ask_power=lambda name: bmcs.told(name, now),
        )
    )


def test_off_is_asked_for_twice_and_on_once() -> None:
    times = [100.0]

    def pause(seconds: float) -> None:
        times[0] += seconds

    def ask(_node: Node) -> PowerAnswer:
        times[0] += 1.0
        return PowerAnswer(said.pop(0), "so it says")  # type: ignore[arg-type]

    said = ["off", "unknown", "on", "unknown"]
    told = told_of_power(Node("n1"), lambda: times[0], ask=ask, pause=pause)
    assert [(one.state, one.asked, one.at) for one in told] == [("off", 100.0, 101.0), ("unknown", 103.1, 104.1)]
    for state in ("on", "unknown"):
        (one,) = told_of_power(Node("n1"), lambda: times[0], ask=ask, pause=pause)
        assert one.state == state


def test_one_that_hangs_keeps_no_other_waiting(bmcs: Bmcs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(l0_power, "TIMEOUT", 1.0)
    bmcs.say("n1", "hang")
    bmcs.say("n2", "off")
    warned: list[str] = []
    hands = hands_of(bmcs, time.monotonic, warned)
    for number, name in enumerate(NODES):
        hands.take(number, AskPower(name), None)
    found: list[tuple[str, str]] = []
    done: list[int] = []
    deadline = time.monotonic() + 30
    while len(done) < 2 and time.monotonic() < deadline:
        answers = hands.answers()
        found += [(one.node, one.state) for one in answers.power]
        done += answers.done
        time.sleep(0.01)
    hands.close()
    assert found == [("n2", "off"), ("n2", "off"), ("n1", "unknown")]
    assert done == [1, 0]
    assert not warned, "what a BMC does not say is unknown, and no failure"


class House:
    """A controller by the rules that run clusters, with a real ledger, real hands and real commands."""

    def __init__(self, home: Path, bmcs: Bmcs) -> None:
        self.rig, self.bmcs = Rig(home, decide=decide), bmcs
        self.now = Steady(SystemClock())
        self.warned: list[str] = []
        self.hands = hands_of(bmcs, self.now, self.warned)
        self.engine = FakeEngine(self.rig.truth)
        self.controller = Controller(
            Ledger(self.rig.store),
            {"ssh": self.engine},
            decide,
            self.hands,
            self.now,
            dump=lambda _key, _node: None,
        )
        self.controller.begin({name: Place(name, "ssh", bmc=True) for name in NODES})

    def until(self, done: Callable[[], Any], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, [one.decision for one in self.rig.ledger.decisions("sleep-1")]
            for name in NODES:
                if name not in self.silent:
                    self.engine.told(Heard(name, self.now(), "boot"))
            self.controller.tick()
            time.sleep(0.02)

    silent: frozenset[str] = frozenset()

    def fall_silent(self, name: str) -> None:
        self.silent = frozenset({name})
        self.engine.told(Silent(name, self.now(), "no answer"))

    def kinds(self) -> list[str]:
        return [one.decision.kind for one in self.rig.ledger.decisions("sleep-1")]


@pytest.fixture
def house(tmp_path: Path, bmcs: Bmcs) -> House:
    made = House(tmp_path, bmcs)
    one = replace(job(1), nodes=Span(1, 1))
    made.rig.ledger.append(Submit(one), ANN, made.now())
    made.until(lambda: "job_running" in made.kinds())
    return made


def test_a_job_moves_once_a_real_command_has_said_off_twice(house: House) -> None:
    (node,) = {place for _, place in house.rig.truth.begun}
    house.until(lambda: house.bmcs.answered)
    house.fall_silent(node)
    house.until(lambda: "power_asked" in house.kinds())
    house.until(lambda: len(house.bmcs.asked) >= 3)
    assert "fault_found" not in house.kinds(), "it has power"
    house.bmcs.say(node, "stderr")
    asked = len(house.bmcs.asked)
    house.until(lambda: len(house.bmcs.asked) >= asked + 2)
    assert "fault_found" not in house.kinds(), "nobody knows"
    house.bmcs.say(node, "off")
    house.until(lambda: len(house.rig.truth.begun) == 2)
    key, other = house.rig.truth.begun[-1]
    assert key == Key("sleep-1", 2)
    assert other != node
    told = [one.decision for one in house.rig.ledger.decisions("sleep-1") if one.decision.kind == "power_asked"]
    assert [one.evidence["power"] for one in told] == ["on", "unknown", "off"]
    assert told[1].message.endswith(f"does not say whether it has power: `{sys.executable}` said nothing")
    assert told[2].evidence["said"] == "Chassis Power is off"
    house.until(lambda: house.rig.ledger.open_actions() == ())
    assert not house.warned
    house.hands.close()


def test_a_tick_waits_for_no_bmc(house: House) -> None:
    (node,) = {place for _, place in house.rig.truth.begun}
    house.until(lambda: house.bmcs.answered)
    house.bmcs.answered.clear()
    house.bmcs.say(node, "hang")
    house.fall_silent(node)
    house.until(lambda: len(house.bmcs.asked) == 2)
    for _ in range(20):
        house.controller.tick()
    assert not house.bmcs.answered, "it hangs still"
    assert len(house.bmcs.asked) == 2
    house.bmcs.say(node, "on")
    house.until(lambda: "power_asked" in house.kinds())
    house.hands.close()
