"""What the simulations of vendors have in common: products, the state of a host's devices, and what faults do to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from typing import Any

from aiops.layers.core.errors import InputError

from .vendor import SimulatedFault, SimulatedTool

LIBRARY = "/usr/lib/aiops-lab"
_STATES = "/run/aiops-lab/state"
_FIRST_BUS, _BUS_STEP = 0x10, 0x08
_WARN, _ERROR = 4, 3
_MAX_DIGITS = 5
_HOT = 91

_ENTRY = """\
#!/usr/bin/python3 -sSB
# {program} of a lab host: everything it says is simulated.
import simulated_tool

import {module}

simulated_tool.run({module}.answer, "{state}")
"""

_SPEEDS = {3: "8.0 GT/s PCIe", 4: "16.0 GT/s PCIe", 5: "32.0 GT/s PCIe"}


@dataclass(frozen=True, slots=True)
class Product:
    """One product that can be simulated.

    Attributes:
        device: PCI device id, as in sysfs (`0xc035`).
        memory: MiB; `reserved` of them are taken while it is idle.
        idle: Watts without work; `cap` is the most.
        firmware: None where the vendor's tool tells of none.
        generation: PCIe generation of device and slot.
        extra: What else the tool's layout needs.
    """

    name: str
    device: str
    memory: int
    idle: float
    cap: float
    firmware: str | None
    generation: int = 4
    reserved: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Simulation:
    """A vendor's simulation.

    Attributes:
        vendor: Its plugin's name.
        title: Its name for people.
        pci_vendor: As in sysfs (`0x1e36`); `pci_class` likewise.
        program: The tool, as a person types it; `places` are where its vendor's installer puts it.
        package: Where the tool's module is, and `module` its name.
        version: The driver's version; `other` is the one that a skewed host tells.
        other_firmware: The firmware that a skewed device tells.
        speaker: Who speaks in the kernel's log.
        products: The first is the default.
    """

    vendor: str
    title: str
    pci_vendor: str
    pci_class: str
    program: str
    places: tuple[str, ...]
    package: str
    module: str
    version: str
    other: str
    other_firmware: str | None
    speaker: str
    products: tuple[Product, ...]

    def tool(self, count: int, model: str | None) -> SimulatedTool:
        """The tool for a host with `count` devices.

        Args:
            count: How many, 1 to 16.
            model: Part of a product's name; the first product by default.

        Raises:
            InputError: There is no simulation of that model.
        """
        product = self._product(model)
        cards = [self._card(product, index) for index in range(count)]
        own = files(self.package).joinpath(f"{self.module}.py").read_text("utf-8")
        shared = files("aiops.layers.l0_nodes.remote").joinpath("simulated_tool.py").read_text("utf-8")
        state_path = f"{_STATES}/{self.vendor}.json"
        entry = _ENTRY.format(program=self.program, module=self.module, state=state_path)
        return SimulatedTool(
            files={
                f"{LIBRARY}/{self.program}": entry,
                f"{LIBRARY}/{self.module}.py": own,
                f"{LIBRARY}/simulated_tool.py": shared,
            },
            state_path=state_path,
            state={"simulated": True, "version": self.version, "tool": {}, "cards": cards},
            devices={},
            bus={card["bus"]: self._bus(product) for card in cards},
            links=dict.fromkeys(self.places, f"{LIBRARY}/{self.program}"),
            fault=partial(fault, self),
        )

    def _product(self, model: str | None) -> Product:
        for product in self.products:
            if model is None or model.lower() in product.name.lower():
                return product
        raise InputError(
            f"there is no simulated {self.title} `{model}`",
            code="lab.unknown_model",
            hints=[f"these can be simulated: {', '.join(product.name for product in self.products)}"],
        )

    def _card(self, product: Product, index: int) -> dict[str, Any]:
        return {
            "bus": f"0000:{_FIRST_BUS + _BUS_STEP * index:02x}:00.0",
            "name": product.name,
            "memory": product.memory,
            "used": product.reserved,
            "power": product.idle + index % 3,
            "cap": product.cap,
            "temperature": 34 + index % 4,
            "ecc": 0,
            "throttled": False,
            "firmware": product.firmware,
            "generation": product.generation,
            "device": product.device,
            **product.extra,
        }

    def _bus(self, product: Product) -> dict[str, str]:
        speed = _SPEEDS[product.generation]
        return {
            "vendor": self.pci_vendor,
            "device": product.device,
            "class": self.pci_class,
            "subsystem_vendor": self.pci_vendor,
            "subsystem_device": "0x0001",
            "numa_node": "0",
            "current_link_speed": speed,
            "current_link_width": "16",
            "max_link_speed": speed,
            "max_link_width": "16",
        }


def fault(
    simulation: Simulation, state: Mapping[str, Any], kind: str, device: int, value: str | None
) -> SimulatedFault | None:
    """What a fault of device number `device` looks like; None for a kind that the vendor does not have. Pure.

    The lines for the kernel's log are ours, and say so: no vendor but NVIDIA publishes all of its own.

    Raises:
        InputError: `value` is not what the kind takes.
    """
    if not 0 <= device < len(state["cards"]):
        return None
    change = _CHANGES.get(kind)
    if change is None or (kind == "firmware-skew" and simulation.other_firmware is None):
        return None
    card = dict(state["cards"][device])
    changed: dict[str, Any] = {**state, "cards": list(state["cards"])}
    said = change(simulation, changed, card, value)
    changed["cards"][device] = card
    level = _WARN if kind == "thermal-throttle" else _ERROR
    kernel = ((level, f"{simulation.speaker} {card['bus']}: {said} (simulated)"),) if said else ()
    return SimulatedFault(state=changed, kernel=kernel, lost=(card["bus"],) if card.get("lost") else ())


_Change = Callable[[Simulation, dict[str, Any], dict[str, Any], str | None], str]


def _lose(_: Simulation, _state: dict[str, Any], card: dict[str, Any], _value: str | None) -> str:
    card["lost"] = True
    return "the device has gone from the bus"


def _err(_: Simulation, _state: dict[str, Any], card: dict[str, Any], value: str | None) -> str:
    errors = whole(value, 1)
    card["ecc"] += errors
    return f"{errors} uncorrectable memory errors"


def _heat(_: Simulation, _state: dict[str, Any], card: dict[str, Any], value: str | None) -> str:
    card["temperature"], card["throttled"] = whole(value, _HOT), True
    return f"clocks are lowered at {card['temperature']} C"


def _hang(_: Simulation, state: dict[str, Any], _card: dict[str, Any], value: str | None) -> str:
    seconds = whole(value, 0)
    state["tool"] = {"seconds": seconds} if seconds else {"hang": True}
    return ""


def _skew_driver(simulation: Simulation, state: dict[str, Any], _card: dict[str, Any], value: str | None) -> str:
    state["reported_driver"] = value or simulation.other
    return ""


def _skew_firmware(simulation: Simulation, _state: dict[str, Any], card: dict[str, Any], value: str | None) -> str:
    card["firmware"] = value or simulation.other_firmware
    return ""


_CHANGES: Mapping[str, _Change] = {
    "device-lost": _lose,
    "ecc-uncorrected": _err,
    "thermal-throttle": _heat,
    "tool-hang": _hang,
    "driver-skew": _skew_driver,
    "firmware-skew": _skew_firmware,
}


def whole(value: str | None, default: int) -> int:
    """The whole number that a fault was given, or its default.

    Raises:
        InputError: It is no whole number of at most five digits.
    """
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS):
        raise InputError(f"`{value}` is not a whole number", code="lab.fault_value")
    return int(value)
