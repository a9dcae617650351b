"""Clocks."""

from tests.l1_cluster.health.case import Case, said

from aiops.layers.l1_cluster.health.timekeeping import TIMEDATE, TRACKING

_GOOD = "C0A80001,head,3,1763753400.1,0.000012,0.000003,0.00002,-12.1,0.01,0.2,0.0004,0.0001,64.2,Normal\n"
HEALTHY = {
    TRACKING: said(TRACKING, _GOOD),
    TIMEDATE: said(TIMEDATE, "NTP=yes\nNTPSynchronized=yes\n"),
}


def _off(seconds: str) -> str:
    return _GOOD.replace("0.000012", seconds)


CASES = (
    Case(
        "a clock that nothing sets",
        "time.sync",
        "critical",
        "restart_service",
        words="nothing sets its clock",
        answers={TRACKING: said(TRACKING, "00000000,,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised\n")},
    ),
    Case(
        "chronyd is not there to answer",
        "time.sync",
        "critical",
        "restart_service",
        answers={TRACKING: said(TRACKING, "506 Cannot talk to daemon\n", 1)},
    ),
    Case(
        "a clock that is a little off",
        "time.sync",
        "warn",
        "restart_service",
        words="12 ms off, limit 10 ms",
        answers={TRACKING: said(TRACKING, _off("-0.012"))},
    ),
    Case(
        "a clock that is far off",
        "time.sync",
        "critical",
        "restart_service",
        words="3500 ms off, limit 100 ms",
        answers={TRACKING: said(TRACKING, _off("3.5"))},
    ),
    Case(
        "chronyc answers nonsense",
        "time.sync",
        "unknown",
        "none",
        answers={TRACKING: said(TRACKING, "hello\n")},
    ),
)
