"""Whether the parts of an NVIDIA driver fit together: one version of every package, and that version loaded.

A driver and a fabric manager of two versions end in CUDA error 802; libraries that are newer than the loaded module
end in "Driver/library version mismatch".
"""

import re

from aiops.layers.l0_nodes.ask import Ask, Record

PACKAGES = "nvidia.packages"
PACKAGES_ASK = Ask(
    PACKAGES,
    (
        "dpkg-query",
        "-W",
        "--showformat=${Package}\\t${db:Status-Abbrev}\\t${Version}\\n",
        "nvidia-driver*",
        "nvidia-headless*",
        "nvidia-utils-*",
        "nvidia-kernel-*",
        "nvidia-dkms-*",
        "nvidia-fabricmanager*",
        "libnvidia-compute-*",
    ),
)
_RELEASE = re.compile(r"^(?:\d+:)?(\d{3,}\.\d+(?:\.\d+)?)")
_MODULE = re.compile(r"Kernel Module\s+(?:for \S+\s+)?(\d[\d.]+)")
_WHOLE = "i"
_GONE = ("n", "c")


def pair_mismatch(record: Record) -> str | None:
    """Why the driver's parts do not fit together, in a few words; None where they do or there is no driver.

    Pure. What was not asked or could not be read is no reason: facts tell of that elsewhere.
    """
    versions: dict[str, list[str]] = {}
    torn = []
    for line in record.answer(PACKAGES).stdout.splitlines():
        name, _, rest = line.partition("\t")
        status, _, version = rest.partition("\t")
        release = _RELEASE.match(version)
        if status[1:2] in _GONE or release is None:
            continue
        if status[1:2] != _WHOLE or status[2:3].strip():
            torn.append(name)
        versions.setdefault(release[1], []).append(name)
    if torn:
        return f"the installation of {', '.join(sorted(torn))} was not finished"
    if len(versions) > 1:
        parts = "; ".join(f"{', '.join(sorted(names))} {version}" for version, names in sorted(versions.items()))
        return f"its driver is of several versions: {parts}"
    loaded = _loaded(record)
    installed = next(iter(versions), None)
    if installed is not None and loaded is not None and loaded != installed:
        return f"driver {loaded} is loaded while {installed} is installed: it needs a reboot"
    said = record.answer("nvidia.query")
    if "version mismatch" in said.stdout + said.stderr:
        return f"the loaded driver is another than the installed one ({installed or 'unknown'}): it needs a reboot"
    return None


def _loaded(record: Record) -> str | None:
    files = record.answer("nvidia.driver").files
    version = files.get("/sys/module/nvidia/version", "").strip()
    if version:
        return version
    match = _MODULE.search(files.get("/proc/driver/nvidia/version", ""))
    return match[1] if match else None
