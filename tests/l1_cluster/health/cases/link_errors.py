"""What the counters of RDMA ports tell, and the devices that programs open."""

from tests.l1_cluster.health.case import Case, hung, said
from tests.l1_cluster.health.cases.rdma import PORT_FILES, ROCE, answer, counters, ports, remembered

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.rdma_reading import COUNTERS, PORTS
from aiops.layers.l1_cluster.health.verbs import DEVICES


def _listing(*without: str) -> str:
    names = [f"{kind}{number}" for kind in ("issm", "umad", "uverbs") for number in range(9)]
    return "".join(f"{name}\n" for name in ("by-ibdev", "rdma_cm", *names) if name not in without)


_DEVICES = {
    f"/sys/class/{group}/{kind}{number}/ibdev": f"mlx5_{number}\n"
    for group, kind in (("infiniband_verbs", "uverbs"), ("infiniband_mad", "umad"))
    for number in range(9)
}


def devices(listing: str | None = None, *unmade: str) -> Answer:
    """The character devices: what is in /dev, and what the kernel has not made."""
    files = {path: text for path, text in _DEVICES.items() if path.split("/")[-2] not in unmade}
    return Answer(DEVICES, 0, stdout=_listing(*unmade) if listing is None else listing, files=files)


HEALTHY = {DEVICES: devices()}


def _grown(
    check: str,
    counter: str,
    value: int,
    words: str,
    *,
    severity: str = "warn",
    action: str = "service",
    device: str = "mlx5_3",
) -> Case:
    changed = (
        {PORTS: ports({f"{device}/ports/1/counters/link_downed": f"{value}\n"})}
        if counter == "link_downed"
        else {COUNTERS: counters(device, counter, f"{value}\n")}
    )
    return Case(
        f"{counter} grows",
        check,
        severity,  # type: ignore[arg-type]
        action,  # type: ignore[arg-type]
        about=f"{device}/1",
        words=words,
        answers=changed,
        past=remembered(f"rdma.{device}/1.{counter}", 1),
    )


_ERRORS = (
    _grown("ib.link_downed", "link_downed", 4, "3 times down within 1 h, limit 3", severity="critical"),
    Case(
        "link_error_recovery grows",
        "ib.link_recovery",
        "warn",
        "service",
        about="mlx5_3/1",
        words="6 recoveries of the link per minute over 30 min, limit 5",
        answers={COUNTERS: counters("mlx5_3", "link_error_recovery", "181\n")},
        past=remembered("rdma.mlx5_3/1.link_error_recovery", 1, hours=0.5),
    ),
    _grown("ib.symbol_error", "symbol_error", 122, "121 symbol errors per hour over 1 h, limit 120"),
    _grown("ib.excessive_overrun", "excessive_buffer_overrun_errors", 2, "1 overruns of a buffer within 1 h, limit 1"),
    _grown("ib.rcv_errors", "port_rcv_errors", 37_001, "10.3 broken packets received per second over 1 h, limit 10"),
    _grown("ib.xmit_discards", "port_xmit_discards", 370_001, "per second over 1 h, limit 100", action="none"),
    _grown("rdma.ack_timeout", "local_ack_timeout_err", 3_961, "1.1 acknowledgements missed per second", action="none"),
    Case(
        "a few acknowledgements are missed",
        "rdma.ack_timeout",
        "ok",
        "none",
        answers={COUNTERS: counters("mlx5_3", "local_ack_timeout_err", "1801\n")},
        past=remembered("rdma.mlx5_3/1.local_ack_timeout_err", 1),
    ),
    _grown("rdma.rnr_retry", "rnr_nak_retry_err", 37_001, "per second over 1 h, limit 10", action="none"),
    _grown(
        "rdma.slow_restart",
        "roce_slow_restart",
        37_001,
        "10.3 slow restarts per second over 1 h, limit 10",
        action="none",
        device=ROCE,
    ),
    _grown("rdma.out_of_sequence", "out_of_sequence", 370_001, "per second over 1 h, limit 100", action="none"),
    Case(
        "a counter cannot be read",
        "ib.symbol_error",
        "unknown",
        "none",
        about="mlx5_3/1",
        words="symbol_error: Connection timed out",
        answers={COUNTERS: counters("mlx5_3", "symbol_error", None, "Connection timed out")},
    ),
    Case(
        "how often a link went down cannot be read",
        "ib.link_downed",
        "unknown",
        "none",
        about="mlx5_3/1",
        words="link_downed: Input/output error",
        answers={
            PORTS: answer(
                PORTS,
                PORT_FILES,
                {"mlx5_3/ports/1/counters/link_downed": None},
                {"mlx5_3/ports/1/counters/link_downed": "Input/output error"},
            )
        },
    ),
)

_CHARACTER_DEVICES = (
    Case(
        "an adapter without a device to open",
        "rdma.chardev",
        "critical",
        "reboot",
        about="mlx5_5",
        words="no uverbs",
        answers={DEVICES: devices(None, "uverbs5")},
    ),
    Case(
        "an InfiniBand adapter without a device for management",
        "rdma.chardev",
        "critical",
        "reboot",
        about="mlx5_5",
        words="no umad",
        answers={DEVICES: devices(None, "umad5")},
    ),
    Case(
        "a device that is not in /dev",
        "rdma.chardev",
        "critical",
        "reboot",
        about="mlx5_5",
        words="no /dev/infiniband/uverbs5",
        answers={DEVICES: devices(_listing("uverbs5"))},
    ),
    Case(
        "there is no /dev/infiniband",
        "rdma.chardev",
        "critical",
        "reboot",
        about="mlx5_0",
        answers={
            DEVICES: Answer(
                DEVICES,
                2,
                stderr="ls: cannot access '/dev/infiniband': No such file or directory\n",
                files=_DEVICES,
            )
        },
    ),
    Case(
        "a device of an adapter that is not there",
        "rdma.chardev",
        "unknown",
        "none",
        words="uverbs5 is of `mlx5_77`",
        answers={
            DEVICES: Answer(
                DEVICES,
                0,
                stdout=_listing(),
                files={**_DEVICES, "/sys/class/infiniband_verbs/uverbs5/ibdev": "mlx5_77\n"},
            )
        },
    ),
    Case("ls hangs", "rdma.chardev", "unknown", "none", answers={DEVICES: hung(DEVICES)}),
    Case(
        "ls fails",
        "rdma.chardev",
        "unknown",
        "none",
        answers={DEVICES: said(DEVICES, "", 1, files=_DEVICES, stderr="ls: reading directory: Input/output error")},
    ),
)

CASES = (*_ERRORS, *_CHARACTER_DEVICES)
