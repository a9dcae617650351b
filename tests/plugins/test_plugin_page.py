"""The example in docs/writing-a-plugin.md works as it is written there."""

import re
import socket
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from tests.l1_cluster.health.case import subject

from aiops.layers.core.errors import InputError, UnreachableError
from aiops.layers.core.plugin import PluginError, Plugins
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.settings import Settings
from aiops.layers.l0_nodes.vendor import AcceleratorHooks, Vendor
from aiops.layers.l1_cluster.health.catalogue import checks_of, select
from aiops.layers.l1_cluster.health.check import Check, Sighting
from aiops.layers.l1_cluster.health.examination import examine
from aiops.layers.l1_cluster.health.notice import Notice
from aiops.layers.l1_cluster.health.notifier import Notifier, read_notifiers
from aiops.layers.l1_cluster.health.rules import Rules

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-plugin.md"


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    code, _, _ = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (point,) = re.findall(r'^"(accelerator\.acme)" = "(\w+)"', PAGE.read_text(), re.MULTILINE)
    module = types.ModuleType(point[1])
    exec(compile(code, str(PAGE), "exec"), module.__dict__)  # noqa: S102 - our own page
    sys.modules[point[1]] = module
    try:
        plugins = Plugins([EntryPoint(point[0], point[1], "aiops")])
        (found,) = plugins.hooks("accelerator", AcceleratorHooks).accelerator_vendor()
        yield found
    finally:
        del sys.modules[point[1]]


def record(answer: Answer) -> Record:
    return Record("gpu01", datetime(2026, 11, 21, tzinfo=UTC), {"acme.info": answer})


def test_the_example_reads_devices(vendor: Vendor) -> None:
    (ask,) = vendor.asks()
    assert ask.argv == ("acme-info", "--plain")
    reading = vendor.read(record(Answer("acme.info", 0, "0 A100X 81920 41\n1 A100X 81920 N/A\n")))
    assert [(one.index, one.memory_total_mib, one.temperature_c) for one in reading.accelerators] == [
        (0, 81920, 41.0),
        (1, 81920, None),
    ]
    assert not reading.unknown


def test_the_example_keeps_its_own_rules(vendor: Vendor) -> None:
    assert vendor.read(record(Answer("acme.info", 0, "garbage\n"))).unknown == {"line 1": "not understood: 'garbage'"}
    missing = vendor.read(record(Answer("acme.info", missing={"argv": "not found"})))
    assert (missing.accelerators, missing.unknown) == ((), {"tool": "acme-info: not found"})
    assert vendor.simulate(8, None) is None


def test_a_hook_that_the_kind_does_not_have_is_an_error() -> None:
    module = types.ModuleType("aiops_wrong")
    exec(  # noqa: S102
        "from aiops.layers.core.plugin import hookimpl\n@hookimpl\ndef accelerator_vendr():\n    pass\n",
        module.__dict__,
    )
    sys.modules["aiops_wrong"] = module
    try:
        with pytest.raises(PluginError, match="accelerator_vendr") as caught:
            Plugins([EntryPoint("accelerator.wrong", "aiops_wrong", "aiops")]).hooks("accelerator", AcceleratorHooks)
    finally:
        del sys.modules["aiops_wrong"]
    assert caught.value.code == "plugin.broken"
    assert "accelerator.wrong" in caught.value.message


def test_a_plugin_that_cannot_be_imported_is_named() -> None:
    plugins = Plugins([EntryPoint("accelerator.gone", "aiops_no_such_module", "aiops")])
    assert [one.name for one in plugins.names("accelerator")] == ["gone"]
    assert plugins.names("engine") == ()
    with pytest.raises(PluginError, match=r"accelerator\.gone.*aiops_no_such_module"):
        plugins.hooks("accelerator", AcceleratorHooks)


class TestChecks:
    """The example of a plugin of the kind `health`."""

    @pytest.fixture
    def checks(self) -> Iterator[tuple[Check, ...]]:
        _, code, _ = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        module = types.ModuleType("aiops_licences")
        exec(compile(code, str(PAGE), "exec"), module.__dict__)  # noqa: S102 - our own page
        sys.modules["aiops_licences"] = module
        try:
            yield checks_of(Plugins([EntryPoint("health.acme", "aiops_licences", "aiops")]))
        finally:
            del sys.modules["aiops_licences"]

    def found(self, checks: tuple[Check, ...], answer: Answer) -> list[tuple[str, str, str]]:
        (check,) = select(checks, ["acme.licences"])
        node = subject()
        seen = replace(node, record=replace(node.record, answers={answer.name: answer}))
        return [(one.verdict, one.message, one.plugin) for one in examine([seen], (check,), Rules()).findings]

    def test_it_is_judged_as_it_says(self, checks: tuple[Check, ...]) -> None:
        assert self.found(checks, Answer("acme.licences", 0, "9\n")) == []
        assert self.found(checks, Answer("acme.licences", 0, "1\n")) == [
            ("warn", "1 licences are free, limit 2", "health.acme")
        ]

    def test_what_cannot_be_read_is_unknown(self, checks: tuple[Check, ...]) -> None:
        for answer in (Answer("acme.licences", missing={"argv": "x: not found"}), Answer("acme.licences", 0, "many\n")):
            ((verdict, _, _),) = self.found(checks, answer)
            assert verdict == "unknown"

    def test_a_judge_that_fails_is_unknown_under_its_plugin_s_name_and_hides_no_other(
        self, checks: tuple[Check, ...]
    ) -> None:
        def broken(*_: object) -> list[Sighting]:
            raise RuntimeError("boom")

        failing = tuple(replace(one, judge=broken) if one.id == "acme.licences" else one for one in checks)
        node = subject()
        answers = {**node.record.answers, "acme.licences": Answer("acme.licences", 0, "9\n")}
        seen = replace(node, record=replace(node.record, answers=answers))
        (one,) = examine([seen], failing, Rules()).findings
        assert (one.check, one.verdict) == ("acme.licences", "unknown")
        assert "health.acme" in one.message
        assert "boom" in one.message


class TestNotifier:
    """The example of a plugin of the kind `notifier`."""

    @pytest.fixture
    def plugins(self) -> Iterator[Plugins]:
        _, _, code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        module = types.ModuleType("aiops_pager")
        sys.modules["aiops_pager"] = module  # dataclasses look for it there
        exec(compile(code, str(PAGE), "exec"), module.__dict__)  # noqa: S102 - our own page
        try:
            yield Plugins([EntryPoint("notifier.pager", "aiops_pager", "aiops")])
        finally:
            del sys.modules["aiops_pager"]

    def asked_for(self, plugins: Plugins, table: dict[str, object]) -> Notifier:
        (found,) = read_notifiers(Settings(health={"notify": {"pager": table}}), plugins, {})
        return found

    def test_it_sends_and_says_when_nobody_is_there(self, plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
        notice = Notice("1", "lab-a", datetime(2026, 11, 21, tzinfo=UTC), test=True)
        ours, theirs = socket.socketpair()
        with theirs:
            monkeypatch.setattr(socket, "create_connection", lambda *_, **__: ours)
            one = self.asked_for(plugins, {"host": "pager.example.org"})
            one.send(notice, 1.0)
            assert theirs.recv(1024).startswith(b"aiops health of lab-a: a test")

        def refuse(*_: object, **__: object) -> None:
            raise ConnectionRefusedError("refused")

        monkeypatch.setattr(socket, "create_connection", refuse)
        with pytest.raises(UnreachableError, match=r"pager\.example\.org does not answer"):
            one.send(notice, 1.0)

    def test_its_settings_are_judged(self, plugins: Plugins) -> None:
        with pytest.raises(InputError) as wrong:
            self.asked_for(plugins, {"hots": "x"})
        assert [one.hint for one in wrong.value.problems] == ["did you mean `host`?", None]
