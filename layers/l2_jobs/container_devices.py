"""How accelerators get into a container, by maker: device nodes, the driver's files, or the container's own words.

From the vendors' manuals of their container toolkits; none of it was seen at work by us, for we have had no such
devices in containers. Which of the devices are seen is said by the same variables as without a container.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from aiops.layers.core.errors import InputError


@dataclass(frozen=True, slots=True)
class DeviceAccess:
    """What a container is given of devices.

    Attributes:
        vendor: Their maker; None where it gets none.
        nodes: Device files.
        interface: Names by the Container Device Interface (`nvidia.com/gpu=0`), where the maker has such.
        driver: Files and folders of the driver that the container sees read-only, where they are there.
    """

    vendor: str | None = None
    nodes: tuple[str, ...] = ()
    interface: tuple[str, ...] = ()
    driver: tuple[str, ...] = ()


def access_of(vendor: str | None, devices: Sequence[int]) -> DeviceAccess:
    """What a container needs for `devices` of a maker; nothing without devices. Pure.

    Raises:
        InputError: Nobody has said how devices of that maker get into a container (`job.container`).
    """
    if not devices or vendor is None:
        return DeviceAccess()
    if vendor == "nvidia":  # NVIDIA Container Toolkit, "Support for Container Device Interface"
        return DeviceAccess(vendor, interface=tuple(f"nvidia.com/gpu={index}" for index in devices))
    if vendor == "amd":  # ROCm, "Running ROCm Docker containers"
        return DeviceAccess(vendor, ("/dev/kfd", "/dev/dri"))
    if vendor == "ascend":  # Ascend Docker Runtime, the devices and folders that it mounts by default
        own = tuple(f"/dev/davinci{index}" for index in devices)
        shared = ("/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc")
        driver = ("/usr/local/Ascend/driver", "/usr/local/dcmi", "/etc/ascend_install.info")
        return DeviceAccess(vendor, (*own, *shared), driver=driver)
    if vendor == "gaudi":  # Intel Gaudi, "Bare Metal Fresh OS Installation": devices of the container runtime
        return DeviceAccess(vendor, tuple(f"/dev/accel/accel{index}" for index in devices))
    if vendor == "cambricon":  # Cambricon, guide of its PyTorch images
        return DeviceAccess(vendor, (*(f"/dev/cambricon_dev{index}" for index in devices), "/dev/cambricon_ctl"))
    raise InputError(
        f"nobody has said how accelerators of {vendor} get into a container",
        code="job.container",
        hints=["run the job without `image`, or on other nodes: `devices: {vendor: ...}`"],
    )
