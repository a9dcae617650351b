"""Processes of a rank group, as the kernel tells of them."""

import io

import pytest

from aiops.layers.l2_jobs.remote import processes


@pytest.mark.parametrize(
    ("groups", "file", "content", "count"),
    [
        (
            "0::/system.slice/job.service",
            "/sys/fs/cgroup/system.slice/job.service/memory.events",
            "oom 3\noom_kill 2\n",
            2,
        ),
        ("0::/job.service", "/sys/fs/cgroup/unified/job.service/memory.events", "oom_kill 0\n", 0),
        (
            "4:memory:/s/job.service",
            "/sys/fs/cgroup/memory/s/job.service/memory.oom_control",
            "under_oom 0\noom_kill 1\n",
            1,
        ),
        ("4:memory:/s/other.service", "/sys/fs/cgroup/memory/s/other.service/memory.oom_control", "oom_kill 1\n", None),
        ("4:memory:/s/job.service", "/sys/fs/cgroup/memory/s/job.service/memory.oom_control", "under_oom 0\n", None),
        ("4:cpu:/s/job.service", "", "", None),
    ],
)
def test_what_the_kernel_killed_for_want_of_memory_is_counted_for_our_own_unit_only(
    monkeypatch: pytest.MonkeyPatch, groups: str, file: str, content: str, count: int | None
) -> None:
    texts = {"/proc/self/cgroup": groups + "\n", file: content}

    def opened(path: str) -> io.StringIO:
        if path not in texts:
            raise FileNotFoundError(path)
        return io.StringIO(texts[path])

    monkeypatch.setattr(processes, "open", opened, raising=False)
    assert processes.out_of_memory("job.service") == count
    assert processes.out_of_memory(None) is None


@pytest.mark.parametrize(
    ("own", "on_host", "told"),
    [
        ((0, 1), (0, 1), True),
        ((0, 0), (0, 1), False),  # somebody else's
        ((None, None), (4, 4), False),  # not counted for this group, and nobody on the whole host
        ((None, None), (4, 5), None),
        ((None, None), (None, None), None),
    ],
)
def test_whether_the_kernel_did_it_is_known_also_where_it_counts_for_the_host_alone(
    monkeypatch: pytest.MonkeyPatch,
    own: tuple[int | None, int | None],
    on_host: tuple[int | None, int | None],
    told: bool | None,
) -> None:
    def texts(number: int) -> dict[str, str]:
        mine, all_of_them = own[number], on_host[number]
        files = {"/proc/self/cgroup": "0::/job.service\n"}
        files["/proc/vmstat"] = "pgfree 1\n" + ("" if all_of_them is None else f"oom_kill {all_of_them}\n")
        if mine is not None:
            files["/sys/fs/cgroup/job.service/memory.events"] = f"oom_kill {mine}\n"
        return files

    shown = texts(0)

    def opened(path: str) -> io.StringIO:
        if path not in shown:
            raise FileNotFoundError(path)
        return io.StringIO(shown[path])

    monkeypatch.setattr(processes, "open", opened, raising=False)
    herd = processes.Herd("job.service")
    shown = texts(1)
    assert herd.ran_out_of_memory() is told
