"""The command line."""

import signal
import sys
import time

from .description import description
from .ending import Finished
from .fields import FIELDS
from .listing import listing, nvlink, persistence, table, topology
from .machine import RUNTIME, Machine, installed, read_json
from .query import query_applications, query_gpu, query_remapped
from .reset import reset

STATE = "/run/aiops-lab/state/nvidia.json"
MACHINE_ID = "/etc/machine-id"


def parse(words):
    """The switches in use, as a map; `nvlink ...` and `topo ...` are taken whole."""
    options = {}
    short = {"-i": "id", "-pm": "persistence-mode", "-d": "display"}
    flags = {"-L": "list-gpus", "-q": "query", "-x": "xml", "-h": "help", "-r": "gpu-reset"}
    known = ("query-gpu", "query-remapped-rows", "query-compute-apps", "format", "id", "persistence-mode", "display")
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word[2:].partition("=")
        if word in ("nvlink", "topo"):
            options[word] = rest
            return options
        if word in flags:
            options[flags[word]] = True
        elif (
            word.startswith("--")
            and not equals
            and name in (*flags.values(), "version", "help-query-gpu", "lab-load", "xml-format")
        ):
            options[{"xml-format": "xml"}.get(name, name)] = True
        elif word.startswith("--") and name in known:
            options[name] = value if equals else (rest.pop(0) if rest else "")
        elif word in short and rest:
            options[short[word]] = rest.pop(0)
        else:
            raise Finished(2, "Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n\n")
    return options


def help_text(machine):
    """`-h`."""
    print("NVIDIA System Management Interface -- v%s (simulated by aiops lab)" % (machine.library or "0"))


def help_query(_machine):
    """`--help-query-gpu`."""
    print('List of valid properties to query for the switch "--query-gpu=" (simulated):\n')
    for field in FIELDS:
        print('"%s"' % field)


def versions(machine, _options):
    """`--version`."""
    print("NVIDIA-SMI version  : %s" % (machine.library or machine.loaded))
    print("NVML version        : %s" % ".".join(machine.loaded.split(".")[:2]))
    print("DRIVER version      : %s" % machine.reported)
    print("CUDA Version        : %s" % machine.state.get("cuda", "N/A"))
    return 0


WITHOUT_DRIVER = (("lab-load", Machine.boot), ("help", help_text), ("help-query-gpu", help_query))
WITH_DRIVER = (
    ("version", versions),
    ("gpu-reset", reset),
    ("nvlink", nvlink),
    ("topo", topology),
    ("query-gpu", query_gpu),
    ("query-remapped-rows", query_remapped),
    ("query-compute-apps", query_applications),
    ("persistence-mode", persistence),
    ("list-gpus", listing),
    ("query", description),
)


def answer(machine, options):
    """Do what was asked; return the exit status."""
    for name, show in WITHOUT_DRIVER:
        if name in options:
            show(machine)
            return 0
    machine.load()
    machine.require_driver()
    chosen = next((show for name, show in WITH_DRIVER if name in options), table)
    status = chosen(machine, options)
    corrupted = [device for device in machine.devices(options.get("id")) if device.own.get("inforom_corrupted")]
    for device in corrupted:
        print("WARNING: infoROM is corrupted at gpu %s" % device.bus_id)
    return 14 if corrupted else status or 0


def hang(state):
    """Hang or take long where the lab says so: the driver does, and with it each of its tools."""
    tool = state.get("tool", {})
    if tool.get("hang"):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        while True:  # a call into a wedged driver: only SIGKILL ends it
            time.sleep(3600)
    time.sleep(tool.get("seconds", 0))


def identity():
    """What the devices' serial numbers come from."""
    try:
        with open(MACHINE_ID, encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def main(words):
    """Run with these words; return the exit status."""
    state = read_json(STATE)
    hang(state)
    library, kernel = installed()
    try:
        return answer(Machine(state, read_json(RUNTIME), library, kernel, identity()), parse(words))
    except Finished as finished:
        sys.stdout.write(finished.text)
        return finished.status
