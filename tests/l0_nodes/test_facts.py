"""Facts from records: recorded hosts, and garbage that costs a fact and never a traceback."""
# ruff: noqa: E501 - recorded lines are kept whole

import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.fact_reading import FACT_ASKS, fact_asks, facts_of
from aiops.layers.l0_nodes.facts import BusAccelerators, Disk, Facts, Interface, RdmaPort
from aiops.layers.l0_nodes.vendor import Reading

AT = datetime(2026, 11, 21, 19, 30, 5, tzinfo=UTC)


def record(**changes: Answer | None) -> Record:
    """A Debian host with two sockets and a GPU on its bus; `changes` replace answers (`_` for a dot), None drops."""
    answers = [
        Answer(
            "os.release",
            files={
                "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
            },
        ),
        Answer(
            "os.kernel",
            0,
            stdout="x86_64\n",
            files={
                "/proc/sys/kernel/hostname": "gpu01\n",
                "/proc/sys/kernel/osrelease": "6.1.0-28-amd64\n",
                "/proc/sys/kernel/random/boot_id": "9a3c0b0e-1111-4222-8333-444455556666\n",
            },
        ),
        Answer("os.machine", files={"/etc/machine-id": "0123456789abcdef0123456789abcdef\n"}),
        Answer("os.virtualization", 1, stdout="none\n"),
        Answer("os.mounts", files={"/proc/self/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"}),
        Answer("os.hosts", files={"/etc/hosts": "127.0.0.1 localhost\n"}),
        Answer("cpu.topology", 0, stdout="# CPU,Core,Socket\n0,0,0\n1,0,0\n2,1,0\n3,1,0\n4,0,1\n5,0,1\n6,1,1\n7,1,1\n"),
        Answer("cpu.model", files={"/proc/cpuinfo": "processor : 0\nmodel name\t: AMD EPYC 9554\n"}),
        Answer(
            "memory",
            files={
                "/proc/meminfo": "MemTotal:       2113410048 kB\nSwapTotal:       8388604 kB\n",
                "/proc/swaps": "Filename Type Size Used Priority\n/dev/sda2 partition 8388604 0 -2\n",
            },
        ),
        Answer(
            "disks",
            0,
            stdout="Filesystem 1024-blocks Used Available Capacity Mounted on\n"
            "/dev/sda1 102400000 1024000 51200000 2% /\n/dev/mapper/v g-var 2048000 1 1024000 1% /var\n",
        ),
        Answer(
            "network",
            0,
            stdout=json.dumps(
                [
                    {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8, "scope": "host"}]},
                    {},
                    {
                        "ifname": "eth0",
                        "address": "02:00:00:00:00:01",
                        "operstate": "UP",
                        "addr_info": [
                            {"local": "10.0.0.1", "prefixlen": 24, "scope": "global"},
                            {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
                        ],
                    },
                ]
            ),
            files={"/sys/class/net/eth0/speed": "25000\n"},
            missing={"/sys/class/net/lo/speed": "Invalid argument"},
        ),
        Answer(
            "network.rdma",
            files={
                f"/sys/class/infiniband/{device}/ports/1/{name}": f"{value}\n"
                for device, values in {
                    "mlx5_0": ("InfiniBand", "4: ACTIVE", "400 Gb/sec (4X NDR)"),
                    "mlx5_1": ("Ethernet", "1: DOWN", "2.5 Gb/sec (1X SDR)"),
                }.items()
                for name, value in zip(("link_layer", "state", "rate"), values, strict=True)
            },
        ),
        Answer(
            "bus",
            files={
                "/sys/bus/pci/devices/0000:3b:00.0/vendor": "0x10de\n",
                "/sys/bus/pci/devices/0000:3b:00.0/class": "0x030200\n",
                "/sys/bus/pci/devices/0000:3b:00.1/vendor": "0x10de\n",
                "/sys/bus/pci/devices/0000:3b:00.1/class": "0x040300\n",
                "/sys/bus/pci/devices/0000:00:1f.0/vendor": "0x8086\n",
                "/sys/bus/pci/devices/0000:00:1f.0/class": "0x060100\n",
            },
        ),
        Answer("packages.kernel", 1, stdout="linux-image-6.1.0-28-amd64\tii \nlinux-image-6.1.0-20-amd64\trc \n"),
        Answer(
            "packages.lock",
            0,
            stdout="1234\n1235\n",
            files={"/proc/locks": "1: FLOCK ADVISORY WRITE 9 08:01:77 0 EOF\n"},
        ),
        Answer("probe.clock", 0, stdout=str(AT.timestamp() + 2.5)),
        Answer("probe.python", 0, stdout="3.11.2"),
    ]
    by_name: dict[str, Answer | None] = {answer.name: answer for answer in answers}
    by_name |= {name.replace("_", ".", 1): answer for name, answer in changes.items()}
    return Record("gpu01", AT, {name: answer for name, answer in by_name.items() if answer is not None})


class Maker:
    """A vendor whose tool says what a test wants."""

    name = "nvidia"
    pci_vendor_ids = ("10de",)

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def asks(self) -> tuple[Ask, ...]:
        return (Ask("nvidia.query"),)

    def read(self, record: Record) -> Reading:
        return self._reading

    def simulate(self, count: int, model: str | None) -> None:
        return None


def test_a_whole_host() -> None:
    facts = facts_of(record())
    assert facts.unknown == {}
    assert (facts.os_id, facts.os_version, facts.os_codename) == ("debian", "12", "bookworm")
    assert (facts.hostname, facts.kernel, facts.architecture) == ("gpu01", "6.1.0-28-amd64", "x86_64")
    assert (facts.sockets, facts.cores, facts.threads, facts.cpu_model) == (2, 4, 8, "AMD EPYC 9554")
    assert (facts.memory_mib, facts.swap_mib, facts.swaps) == (2063877, 8191, ("/dev/sda2",))
    assert facts.disks == (Disk("/", 100000, 50000), Disk("/var", 2000, 1000))
    assert facts.interfaces == (
        Interface("lo", None, ("127.0.0.1/8",)),
        Interface("eth0", "02:00:00:00:00:01", ("10.0.0.1/24",), 25000, "up"),
    )
    assert facts.rdma_ports == (
        RdmaPort("mlx5_0", 1, "infiniband", "active", 400.0),
        RdmaPort("mlx5_1", 1, "roce", "down", 2.5),
    )
    assert (facts.virtualization, facts.container, facts.cgroup) == ("none", False, "v2")
    assert facts.clock is not None
    assert facts.clock.offset == pytest.approx(2.5)
    assert facts.kernel_packages == ("linux-image-6.1.0-28-amd64",)
    assert (facts.package_lock_held, facts.python, facts.simulated) == (False, "3.11.2", False)
    assert (facts.bus_accelerators, facts.accelerators) == ((), ())


@pytest.mark.parametrize(
    ("mounts", "kind"),
    [
        ("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0", "v2"),
        ("tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0", "v1"),
        ("cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0", "hybrid"),
        ("/dev/sda1 / ext4 rw 0 0", None),
    ],
)
def test_cgroup(mounts: str, kind: str | None) -> None:
    facts = facts_of(record(os_mounts=Answer("os.mounts", files={"/proc/self/mounts": mounts})))
    assert facts.cgroup == kind
    assert ("cgroup" in facts.unknown) == (kind is None)


PORT = "/sys/class/infiniband/mlx5_0/ports/1/"


@pytest.mark.parametrize(
    ("answer", "ports", "reason"),
    [
        (Answer("network.rdma", missing={"/sys/class/infiniband/*/ports/*/rate": "nothing matches"}), (), None),
        (None, None, "not asked"),
        (Answer("network.rdma", files={f"{PORT}rate": "400 Gb/sec"}), None, "does not say whether"),
        (
            Answer(
                "network.rdma", files={f"{PORT}link_layer": "InfiniBand\n", f"{PORT}state": "odd", f"{PORT}rate": ""}
            ),
            (RdmaPort("mlx5_0", 1, "infiniband"),),
            None,
        ),
    ],
)
def test_rdma_ports(answer: Answer | None, ports: tuple[RdmaPort, ...] | None, reason: str | None) -> None:
    facts = facts_of(record(network_rdma=answer))
    assert facts.rdma_ports == ports
    assert (reason or "") in facts.unknown.get("rdma_ports", "")
    assert ("rdma_ports" in facts.unknown) == (reason is not None)


def test_containers() -> None:
    facts = facts_of(record(os_virtualization=Answer("os.virtualization", 0, stdout="systemd-nspawn\n")))
    assert (facts.virtualization, facts.container) == ("systemd-nspawn", True)
    facts = facts_of(record(os_virtualization=Answer("os.virtualization", 0, stdout="kvm\n")))
    assert (facts.virtualization, facts.container) == ("kvm", False)


_MOUNTS = "22 1 0:47 / / rw,relatime - overlay o rw\n23 22 0:25 / /run rw - tmpfs tmpfs rw\n"


@pytest.mark.parametrize(
    ("line", "held"),
    [
        ("3: POSIX  ADVISORY  WRITE 711 00:2f:1235 0 EOF", True),
        ("3: -> POSIX  ADVISORY  WRITE 711 00:2f:1234 0 EOF", True),
        ("3: POSIX  ADVISORY  WRITE 711 00:2f:12345 0 EOF", False),
        ("3: POSIX  ADVISORY  WRITE 711 00:19:1235 0 EOF", False),  # a pid file on the tmpfs of /run
        ("3: FLOCK  ADVISORY  WRITE 711 00:2f:1235 0 EOF", False),  # neither apt nor dpkg locks so
        ("3: OFDLCK ADVISORY  WRITE -1 00:2f:1235 0 EOF", False),
    ],
)
def test_package_lock(line: str, held: bool) -> None:
    files = {"/proc/locks": line + "\n", "/proc/self/mountinfo": _MOUNTS}
    answer = Answer("packages.lock", 0, stdout="1234\n1235\n", files=files)
    assert facts_of(record(packages_lock=answer)).package_lock_held is held


@pytest.mark.parametrize(
    ("mounts", "held"),
    [
        ("", True),  # where the kernel does not say what is mounted, the inode has to do
        (_MOUNTS + "40 22 0:33 / /var rw - ext4 /dev/sdb1 rw\n", False),
        (_MOUNTS + "41 22 0:33 / /var/library rw - ext4 /dev/sdb1 rw\n", True),
        (_MOUNTS + "40 22 0:33 / / rw - ext4 /dev/sdb1 rw\n", False),  # mounted over the other
    ],
)
def test_package_lock_of_the_file_system_that_it_lies_on(mounts: str, held: bool) -> None:
    files = {"/proc/locks": "3: POSIX  ADVISORY  WRITE 711 00:2f:1235 0 EOF\n", "/proc/self/mountinfo": mounts}
    answer = Answer("packages.lock", 0, stdout="1234\n1235\n", files=files)
    assert facts_of(record(packages_lock=answer)).package_lock_held is held


def test_simulated_is_said_of_the_node_and_of_each_device() -> None:
    marked = record(os_simulated=Answer("os.simulated", files={"/etc/aiops-lab.json": "{}"}))
    facts = facts_of(marked, [Maker(Reading((Accelerator("nvidia", 0),)))])
    assert facts.simulated
    assert facts.accelerators is not None
    assert facts.accelerators[0].simulated
    assert not facts_of(record(), [Maker(Reading((Accelerator("nvidia", 0),)))]).accelerators[0].simulated  # type: ignore[index]


def test_bus_without_a_driver() -> None:
    facts = facts_of(record(), [Maker(Reading(unknown={"query": "nvidia-smi: not found"}))])
    assert facts.bus_accelerators is not None
    [found] = facts.bus_accelerators
    assert (found.vendor, found.count, found.buses) == ("nvidia", 1, ("0000:3b:00.0",))
    assert facts.accelerators is None
    assert facts.unknown["accelerators"] == "nvidia-smi: not found"


def test_no_device_and_no_tool_is_not_unknown() -> None:
    bare = record(bus=Answer("bus", missing={"/sys/bus/pci/devices/*/vendor": "nothing matches"}))
    facts = facts_of(bare, [Maker(Reading(unknown={"query": "nvidia-smi: not found"}))])
    assert (facts.bus_accelerators, facts.accelerators, facts.unknown) == ((), (), {})


def test_fewer_devices_than_on_the_bus() -> None:
    two = record().answer("bus")
    more = {path.replace("3b:00.0", "5e:00.0"): text for path, text in two.files.items() if "3b:00.0" in path}
    facts = facts_of(
        record(bus=replace(two, files={**two.files, **more})), [Maker(Reading((Accelerator("nvidia", 0),)))]
    )
    assert facts.unknown["accelerators"] == "nvidia: 2 on the bus, but its tool shows 1"
    assert len(facts.accelerators or ()) == 1


def test_a_strangers_parser_that_fails() -> None:
    class Broken(Maker):
        def read(self, record: Record) -> Reading:
            raise RuntimeError("oh")

    facts = facts_of(record(), [Broken(Reading())])
    assert facts.hostname == "gpu01"
    assert "oh" in facts.unknown["accelerators"]


@pytest.mark.parametrize("ask", [ask.name for ask in FACT_ASKS if ask.name != "os.simulated"])
def test_what_was_not_answered_is_unknown_with_a_reason(ask: str) -> None:
    timed_out = Answer(ask, seconds=5.0, timed_out=True, missing={"files": "it did not answer before the deadline"})
    facts = facts_of(Record("gpu01", AT, {**record().answers, ask: timed_out}), [Maker(Reading())])
    assert facts.unknown
    for name, reason in facts.unknown.items():
        assert reason
        if name in {field.name for field in fields(Facts)}:
            assert getattr(facts, name) is None


def test_asks_are_unique_and_bounded() -> None:
    asks = fact_asks([Maker(Reading())])
    assert len({ask.name for ask in asks}) == len(asks)
    assert all(0 < ask.timeout <= 30 and ask.max_bytes <= 1_048_576 for ask in asks)


NOISE = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        [
            "0",
            "-1",
            "nan",
            "1e999",
            "9" * 5000,
            "[]",
            "{}",
            "null",
            '[{"ifname": 3}]',
            "[1]",
            "a\tii \n",
            "0,,\n",
            ",",
            "\0",
        ]
    ),
)


@given(st.data())
def test_garbage_is_unknown_and_never_a_traceback(data: st.DataObject) -> None:
    good = record()
    name = data.draw(st.sampled_from(sorted(good.answers)))
    old = good.answers[name]
    new = Answer(
        name,
        data.draw(st.one_of(st.none(), st.integers(0, 255))),
        stdout=data.draw(NOISE),
        stderr=data.draw(NOISE),
        files={path: data.draw(NOISE) for path in data.draw(st.sets(st.sampled_from(sorted(old.files) or ["/x"])))},
        missing=data.draw(
            st.dictionaries(st.sampled_from(["argv", "files", *sorted(old.files)]), st.text(max_size=9), max_size=3)
        ),
        timed_out=data.draw(st.booleans()),
        truncated=data.draw(st.booleans()),
    )
    facts = facts_of(Record("gpu01", AT, {**good.answers, name: new}), [Maker(Reading())])
    for fact, value in document_items(facts):
        assert value is not None or fact in facts.unknown or fact == "driver_mismatch", fact
    json.dumps(facts.document(), allow_nan=False)


def document_items(facts: Facts) -> list[tuple[str, Any]]:
    return [(field.name, getattr(facts, field.name)) for field in fields(facts)]


ANSWERS = st.builds(
    Answer,
    name=st.text(max_size=9),
    exit_status=st.none() | st.integers(0, 255),
    stdout=st.text(max_size=20),
    stderr=st.text(max_size=20),
    files=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3),
    missing=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3),
    seconds=st.floats(0, 100),
    timed_out=st.booleans(),
    truncated=st.booleans(),
)


@given(st.lists(ANSWERS, unique_by=lambda answer: answer.name))
def test_a_stored_record_is_the_same_record(answers: list[Answer]) -> None:
    whole = Record("gpu01", AT, {answer.name: answer for answer in answers})
    assert Record.of(json.loads(json.dumps(whole.document()))) == whole


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"node": "n", "at": "yesterday", "answers": []},
        {"node": "n", "at": AT.isoformat(), "answers": 3},
        {"node": "n", "at": AT.isoformat(), "answers": [{"stdout": "x"}]},
        {"node": "n", "at": AT.isoformat(), "answers": [{"name": "a", "stdout": 3}]},
        {"node": "n", "at": AT.isoformat(), "answers": [{"name": "a", "files": {"x": 1}}]},
    ],
)
def test_other_documents_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Record.of(document)


def test_newer_fields_are_left_out() -> None:
    document = {"node": "n", "at": AT.isoformat(), "answers": [{"name": "a", "colour": "red"}]}
    assert Record.of(document).answer("a") == Answer("a")


def test_document_of_facts() -> None:
    document = facts_of(record(), [Maker(Reading((Accelerator("nvidia", 0),)))]).document()
    assert document["at"] == "2026-11-21T19:30:05Z"
    assert document["clock"]["offset"] == 2.5
    assert document["bus_accelerators"][0]["vendor"] == "nvidia"
    assert BusAccelerators(**{**document["bus_accelerators"][0], "buses": ("0000:3b:00.0",)}).count == 1
