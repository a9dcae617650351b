"""Skew: nodes that are not as most of their equals are, in versions and in what is built into them.

In what is built in a node is compared with machines of its own make only: a group may hold several.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import median_low

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer, Ask
from aiops.layers.l1_cluster.majority import Odd
from aiops.layers.l1_cluster.trait import Trait, plain
from aiops.layers.l1_cluster.trait_reading import BOARD, CHIPS, CPU, OFED, TRAIT_ASKS, traits_of

from .check import Check, Limits, Sighting, Subject, Threshold, always
from .equals import LEAST, RULE, Read, among_equals, make_of, told, trait
from .verdict import Action

_INFINIBAND = "/sys/class/infiniband/"
_NONE, _SOME = "no accelerator", "some"


def _ask(name: str) -> tuple[Ask, ...]:
    return tuple(one for one in TRAIT_ASKS if one.name == name)


def _system(subject: Subject) -> tuple[Trait, ...]:
    """Without the point release, which every upgrade of packages brings; the whole name where it has no version."""
    facts = subject.facts
    words = [facts.os_id, facts.os_version] if facts.os_id and facts.os_version else [subject.fact("os_name")]
    return (plain("system", " ".join(str(word) for word in words)),)


def _firmware(subject: Subject) -> tuple[Trait, ...]:
    """Of accelerators alone: what has a place below /sys is left out."""
    record = replace(subject.record, answers={CHIPS: Answer(CHIPS)})
    return tuple(told(one) for name, one in traits_of(record, subject.facts).items() if name == "firmware")


def _fabric_firmware(subject: Subject) -> tuple[Trait, ...]:
    """Of InfiniBand and RoCE adapters alone."""
    answer = subject.record.answer(CHIPS)
    files = {path: content for path, content in answer.files.items() if path.startswith(_INFINIBAND)}
    record = replace(subject.record, answers={CHIPS: replace(answer, files=files)})
    facts = replace(subject.facts, accelerators=())
    return tuple(told(one) for name, one in traits_of(record, facts).items() if name == "firmware")


def _processors(subject: Subject) -> tuple[Trait, ...]:
    (model,) = trait("processor")(subject)
    if model.unknown is not None:
        return (model,)
    items = {"model": model.items[""], "threads": str(subject.fact("threads"))}
    return (Trait("processor", items, make_of(subject)),)


def _fewer_is_service(odd: Odd) -> Action | None:
    """Missing hardware is a matter for hands; another model, or more of it, is not."""
    fewer = odd.item != "model" and int(odd.found or 0) < int(odd.expected or 0)
    return None if fewer else "none"


def _accelerators(subject: Subject) -> tuple[Trait, ...]:
    """How many of each model, and whether there are any: one without any has no model to be compared by.

    Parts of devices are not compared: how many there are is as somebody has set it.
    """
    make = make_of(subject)
    devices = subject.facts.accelerators or ()
    if any(one.partitioned for one in devices):
        return ()
    models = [one.model for one in devices if one.model is not None]
    if len(models) < len(devices):
        raise UnreadableError("a device does not tell its model")
    return (
        Trait("count", {model: str(models.count(model)) for model in models}, make),
        plain("presence", _SOME if models else _NONE, make),
    )


def _fewer_accelerators(subjects: Sequence[Subject], limits: Limits) -> Iterator[tuple[str, Sighting]]:
    """Only fewer: who has more than most stands among those that have lost one."""
    for node, one in among_equals(_accelerators)(subjects, limits):
        found, expected = one.evidence.get("found", _NONE), one.evidence.get("expected")
        if found == _NONE or (found != _SOME and int(found) < int(str(expected))):
            yield node, one


def _memory(subjects: Sequence[Subject], limits: Limits) -> Iterator[tuple[str, Sighting]]:
    """Kernels of one release leave a few MiB more or less, so equal is what lies close to the middle."""
    sizes: dict[tuple[object, ...], dict[str, int]] = {}
    unread: dict[str, tuple[tuple[str, ...], str]] = {}
    for subject in subjects:
        name, groups = subject.node.name, subject.node.groups
        try:
            size, make = int(subject.fact("memory_mib")), make_of(subject)
        except UnreadableError as error:
            unread[name] = groups, str(error)
            continue
        sizes.setdefault((groups, make), {})[name] = size
    for known in sizes.values():
        middle = median_low(known.values())
        far = {name: size for name, size in known.items() if abs(size - middle) * 100 > limits["percent"] * middle}
        if len(known) < LEAST or 2 * len(far) >= len(known):
            continue
        for name, size in far.items():
            message = f"{size} MiB, most like it have {middle} MiB (limit {limits['percent']:g} % apart)"
            evidence = {"memory_mib": size, "expected_mib": middle, "compared": len(known)}
            yield name, Sighting("warn", message, evidence=evidence, action=None if size < middle else "none")
    for name, (groups, reason) in unread.items():
        if sum(len(known) for (own, _), known in sizes.items() if own == groups) >= LEAST - 1:
            yield name, Sighting("unknown", reason)


def _has_accelerators(subject: Subject) -> bool:
    """Whether there are any; what cannot be read of them is told by the checks of devices."""
    return bool(subject.facts.accelerators)


def _told_of_accelerators(subject: Subject) -> bool:
    return subject.facts.accelerators is not None


def _has_rdma(subject: Subject) -> bool:
    return bool(subject.facts.rdma_ports)


def _version(
    kind: str,
    title: str,
    read: Read,
    remedy: str,
    *,
    asks: tuple[Ask, ...] = (),
    applies: Callable[[Subject], bool] = always,
) -> Check:
    """A check of something that has a version: skew is told, and nothing is broken by it yet."""
    return Check(
        id=kind,
        title=title,
        severity="warn",
        action="none",
        owner="node",
        judges="Warn on a node that has another than more than half of the nodes in the same groups; nothing is judged "
        "among fewer than three, or where no majority is.",
        remedy=remedy,
        source=RULE,
        asks=asks,
        compare=among_equals(read),
        applies=applies,
        tags=("skew",),
    )


CHECKS = (
    _version(
        "os.skew",
        "the operating system is that of its group",
        _system,
        "Find out which one is wanted, and bring all nodes of the group to it.",
    ),
    _version(
        "kernel.skew",
        "the running kernel is that of its group",
        trait("kernel"),
        "It may only have to be rebooted into what is installed, once it is drained: "
        "`aiops node exec --on NODE --root -- systemctl reboot`.",
    ),
    _version(
        "driver.skew",
        "the accelerators' driver is that of its group",
        trait("driver"),
        "`aiops cluster deploy --only accelerator` installs one version everywhere: `aiops_driver_version` says which.",
        applies=_has_accelerators,
    ),
    _version(
        "firmware.skew",
        "the accelerators' firmware is that of its group",
        _firmware,
        "Drain the node and bring its devices to the firmware of the others, with the vendor's own tool.",
        applies=_has_accelerators,
    ),
    _version(
        "ib.firmware_skew",
        "the firmware of InfiniBand and RoCE adapters is that of its group",
        _fabric_firmware,
        "Drain the node and update its adapters (`mlxfwmanager`, `flint`), then reboot it.",
        asks=_ask(CHIPS),
        applies=_has_rdma,
    ),
    _version(
        "bios.skew",
        "the BIOS is that of its group",
        trait("BIOS"),
        "Drain the node and update its BIOS with the maker's tool. Settings may have changed with the version.",
        asks=_ask(BOARD),
    ),
    _version(
        "microcode.skew",
        "the processors' microcode is that of its group",
        trait("microcode"),
        "It comes with the BIOS or with the package `amd64-microcode` or `intel-microcode`, and is loaded at boot: "
        "reboot the node once it is drained.",
        asks=_ask(CPU),
    ),
    _version(
        "ofed.skew",
        "OFED is that of its group",
        trait("OFED"),
        "Install the same release everywhere, and reboot the node once it is drained.",
        asks=_ask(OFED),
        applies=_has_rdma,
    ),
    Check(
        id="cpu.skew",
        title="model and number of processors are those of its group",
        severity="warn",
        action="service",
        owner="node",
        judges="Warn when the model, or the number of processors that are online, is another than that of more than "
        "half of the nodes of the same make in the same groups.",
        remedy="Fewer: look for one that was taken offline (`lscpu`, the kernel's log), or for another setting of the "
        "BIOS (SMT, a disabled socket).",
        source=RULE,
        asks=_ask(BOARD),
        compare=among_equals(_processors, _fewer_is_service),
        tags=("skew",),
    ),
    Check(
        id="mem.skew",
        title="there is as much memory as in its group",
        severity="warn",
        action="service",
        owner="node",
        judges="Warn when the size is more than 5 % apart from the middle one of the nodes of the same make in the "
        "same groups, while more than half of them are close to it.",
        remedy="Less: a module was disabled at boot. `dmidecode -t memory` and the BMC's event log say which.",
        source="NHC's check_hw_physmem allows 5 %",
        asks=_ask(BOARD),
        compare=_memory,
        thresholds=(Threshold("percent", 5.0, "%", "NHC's check_hw_physmem: its usual fudge", least=0.1, most=50.0),),
        tags=("skew",),
    ),
    Check(
        id="gpu.count_skew",
        title="there are as many accelerators as in its group",
        severity="warn",
        action="service",
        owner="node",
        judges="Warn when there are fewer of a model, or none at all, unlike on more than half of the nodes of the "
        "same make in the same groups.",
        remedy="Reboot the node once it is drained. What is still missing then needs hands: look at power and riser.",
        source=RULE,
        asks=_ask(BOARD),
        compare=_fewer_accelerators,
        applies=_told_of_accelerators,
        tags=("skew",),
    ),
)
