"""Dummies of NVIDIA's driver packages for the lab, with the names and the versions of Ubuntu's archive.

There the driver, its tools, its libraries and the fabric manager of one branch are packages of their own
(`nvidia-driver-580`, `nvidia-utils-580`, `libnvidia-compute-580`, `nvidia-fabricmanager-580`); the container
toolkit and the persistence daemon have versions that do not follow the branch, or follow it without its number.
"""

from aiops.layers.l0_nodes.simulated_package import SimulatedPackage

DEFAULT_DRIVER = "580.95.05"
_REVISION = "-0ubuntu1"
_TOOLKIT = "1.18.0-1"
SIMULATED_TOOL = "/usr/lib/aiops-lab/nvidia-smi"

_DAEMON = """#!/bin/sh
# A stand-in for {name} of driver {version}: it says so and stays, as the real one does. simulated
case "${{1:-}}" in
  --version | -v) echo "{product} version is : {version}"; exit 0 ;;
esac
{first}
echo "{name} {version} started (simulated)"
trap 'exit 0' TERM INT
while :; do sleep 3600 & wait $!; done
"""
_UNIT = """[Unit]
Description={title} (simulated)

[Service]
Type=simple
ExecStart={program}
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""
_TOOL = """#!/bin/sh
# A stand-in for {name} {version}. simulated
case "${{1:-}}" in
  --version | -v | version) echo "{title} {version} (simulated)" ;;
  *) echo "{name}: simulated, does nothing" ;;
esac
"""


def simulated_driver(driver_version: str = DEFAULT_DRIVER) -> tuple[SimulatedPackage, ...]:
    """The packages of one driver version, tied to each other as the vendor's are.

    Args:
        driver_version: Exact, e.g. `580.95.05`; its branch is the part before the first dot.
    """
    branch = driver_version.partition(".")[0]
    version = driver_version + _REVISION
    tools, libraries = f"nvidia-utils-{branch}", f"libnvidia-compute-{branch}"
    return (
        SimulatedPackage(
            f"nvidia-driver-{branch}",
            version,
            "NVIDIA driver metapackage",
            relations={
                "Depends": ", ".join(
                    f"{name} (= {version})" for name in (tools, libraries, f"nvidia-kernel-common-{branch}")
                ),
                "Provides": "nvidia-driver",
            },
        ),
        SimulatedPackage(
            f"nvidia-kernel-common-{branch}",
            version,
            "NVIDIA kernel module files",
            files={f"/usr/share/nvidia/driver-{branch}": (f"{driver_version}\nsimulated\n", 0o644)},
        ),
        SimulatedPackage(
            tools,
            version,
            "NVIDIA driver support binaries",
            relations={
                "Depends": f"{libraries} (= {version})",
                "Conflicts": "nvidia-utils",
                "Provides": "nvidia-utils",
            },
            links={"/usr/bin/nvidia-smi": SIMULATED_TOOL},
        ),
        SimulatedPackage(
            libraries,
            version,
            "NVIDIA libcompute package",
            relations={"Provides": "libcuda1, libnvidia-ml1, libnvidia-compute", "Conflicts": "libnvidia-compute"},
            files={f"/usr/share/nvidia/libraries-{branch}": (f"{driver_version}\nsimulated\n", 0o644)},
        ),
        SimulatedPackage(
            f"nvidia-fabricmanager-{branch}",
            version,
            "Fabric Manager for NVSwitch based systems",
            relations={"Provides": "nvidia-fabricmanager", "Conflicts": "nvidia-fabricmanager"},
            files=_daemon(
                "nvidia-fabricmanager",
                "nv-fabricmanager",
                driver_version,
                title="NVIDIA fabric manager service",
                product="Fabric Manager",
            ),
            units=("nvidia-fabricmanager.service",),
        ),
        SimulatedPackage(
            "nvidia-persistenced",
            version,
            "daemon to maintain persistent software state in the NVIDIA driver",
            files=_daemon(
                "nvidia-persistenced",
                "nvidia-persistenced",
                driver_version,
                title="NVIDIA Persistence Daemon",
                product="nvidia-persistenced",
                first="nvidia-smi -pm 1 > /dev/null 2>&1 || true",
            ),
            units=("nvidia-persistenced.service",),
        ),
        SimulatedPackage(
            "nvidia-container-toolkit",
            _TOOLKIT,
            "NVIDIA Container toolkit",
            files={
                "/usr/bin/nvidia-ctk": (
                    _TOOL.format(name="nvidia-ctk", title="NVIDIA Container Toolkit CLI version", version="1.18.0"),
                    0o755,
                )
            },
        ),
    )


def _daemon(
    unit: str, program: str, version: str, *, title: str, product: str, first: str = ":"
) -> dict[str, tuple[str, int]]:
    """A daemon that does `first` (a line for sh) when it starts, and its unit."""
    path = f"/usr/bin/{program}"
    return {
        path: (_DAEMON.format(name=program, version=version, product=product, first=first), 0o755),
        f"/lib/systemd/system/{unit}.service": (_UNIT.format(title=title, program=path), 0o644),
    }
