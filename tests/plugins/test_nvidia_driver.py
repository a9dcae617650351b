"""Whether a driver's parts fit together, judged from what dpkg and the kernel say."""

from datetime import UTC, datetime

import pytest

from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.plugins.nvidia import Nvidia
from aiops.plugins.nvidia.driver import PACKAGES, pair_mismatch


def _record(packages: str, module: str = "", proc: str = "", query: str = "") -> Record:
    files = {"/sys/module/nvidia/version": module, "/proc/driver/nvidia/version": proc}
    answers = {
        PACKAGES: Answer(PACKAGES, exit_status=1, stdout=packages),
        "nvidia.driver": Answer("nvidia.driver", files={path: text for path, text in files.items() if text}),
        "nvidia.query": Answer("nvidia.query", exit_status=18 if query else 0, stdout=query),
    }
    return Record("gpu01", datetime(2026, 11, 21, tzinfo=UTC), answers)


WHOLE = (
    "nvidia-driver-580\thi \t580.95.05-0ubuntu1\n"
    "nvidia-utils-580\thi \t580.95.05-0ubuntu1\n"
    "nvidia-fabricmanager-580\tii \t580.95.05-1\n"
    "nvidia-driver-570\trc \t570.86.10-0ubuntu1\n"
    "nvidia-kernel-source\tun \t\n"
)


@pytest.mark.parametrize(
    "record",
    [
        _record(""),
        _record(WHOLE),
        _record(WHOLE, module="580.95.05\n"),
        _record(WHOLE, proc="NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\n"),
        Record("gpu01", datetime(2026, 11, 21, tzinfo=UTC), {}),
    ],
)
def test_a_whole_driver_none_at_all_or_nothing_asked_is_no_mismatch(record: Record) -> None:
    assert pair_mismatch(record) is None


def test_a_half_upgraded_pair_names_both_versions() -> None:
    text = WHOLE.replace("580.95.05-1", "580.82.07-1")
    assert pair_mismatch(_record(text)) == (
        "its driver is of several versions: nvidia-fabricmanager-580 580.82.07;"
        " nvidia-driver-580, nvidia-utils-580 580.95.05"
    )


def test_an_installation_that_was_cut_off_is_told() -> None:
    text = WHOLE.replace("nvidia-utils-580\thi ", "nvidia-utils-580\thU ")
    assert pair_mismatch(_record(text)) == "the installation of nvidia-utils-580 was not finished"


@pytest.mark.parametrize(
    "record",
    [
        _record(WHOLE, module="570.86.10\n"),
        _record(WHOLE, proc="NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.10  Tue Jan 7\n"),
    ],
)
def test_another_module_than_the_installed_one_needs_a_reboot(record: Record) -> None:
    assert pair_mismatch(record) == "driver 570.86.10 is loaded while 580.95.05 is installed: it needs a reboot"


def test_the_tools_own_words_count_where_the_kernel_does_not_tell() -> None:
    said = "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.95\n"
    assert "580.95.05" in (pair_mismatch(_record(WHOLE, query=said)) or "")


def test_the_reading_of_a_record_carries_it() -> None:
    assert Nvidia().read(_record(WHOLE, module="570.86.10\n")).mismatch is not None
    assert any(ask.name == PACKAGES for ask in Nvidia().asks())
