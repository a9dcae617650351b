"""The operating system."""

from tests.l1_cluster.health.case import Case, read

from aiops.layers.l1_cluster.health.operating_system import REBOOT

_MARKER, _PACKAGES, _OURS = "/run/reboot-required", "/run/reboot-required.pkgs", "/run/aiops/reboot-needed"
_ABSENT = dict.fromkeys((_MARKER, _PACKAGES, _OURS), "No such file or directory")

HEALTHY = {REBOOT: read(REBOOT, {}, **_ABSENT)}
CASES = (
    Case(
        "a new kernel waits for a reboot",
        "os.reboot_required",
        "warn",
        "reboot",
        words="waited for by linux-image-6.1.0-29-amd64, linux-base",
        answers={
            REBOOT: read(
                REBOOT,
                {
                    _MARKER: "*** System restart required ***\n",
                    _PACKAGES: "linux-image-6.1.0-29-amd64\nlinux-base\n" * 2,
                },
                **{_OURS: _ABSENT[_OURS]},
            )
        },
    ),
    Case(
        "a change by aiops waits for a reboot",
        "os.reboot_required",
        "warn",
        "reboot",
        words="waited for by a change by aiops",
        answers={REBOOT: read(REBOOT, {_OURS: ""}, **{_MARKER: _ABSENT[_MARKER]})},
    ),
    Case(
        "a mark that cannot be read",
        "os.reboot_required",
        "unknown",
        "none",
        answers={REBOOT: read(REBOOT, {}, **{**_ABSENT, _MARKER: "Permission denied"})},
    ),
)
