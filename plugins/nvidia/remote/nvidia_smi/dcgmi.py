"""`dcgmi diag` in the layout of DCGM 4: what the lab's faults would make of NVIDIA's own diagnosis."""

import json
import sys

from . import main as smi
from .ending import Finished
from .machine import Machine, installed, read_json

VERSION = "4.2.3"
UNHEALTHY = 226  # how dcgmi ends when a test fails
TESTS = (
    ("Deployment", "software", 1),
    ("Integration", "pcie", 2),
    ("Hardware", "memory", 2),
)
"""Category, name, and the level from which on it is made."""
ISOLATE, MEMORY, FAULTY_MEMORY = 2, 10, 52  # of dcgm_errors.h: severity, category and number of the error


def warning(test, device):
    """What a test finds wrong with a device; None where nothing is."""
    errors = device.value("ecc.errors.uncorrected.volatile.total")
    if test != "memory" or not errors:
        return None
    text = "%d uncorrectable errors were met in the memory of GPU %d (simulated)" % (errors, device.index)
    return {
        "error_category": MEMORY,
        "error_id": FAULTY_MEMORY,
        "error_severity": ISOLATE,
        "warning": text,
    }


def result(test, device):
    """What a test says of a device."""
    told = {"entity_group": "GPU", "entity_group_id": 1, "entity_id": device.index, "status": "Pass"}
    wrong = warning(test, device)
    if wrong is not None:
        told.update(status="Fail", warnings=[wrong])
    return told


def diagnosis(machine, level):
    """The document, and whether all is well."""
    devices = [device for device in machine.devices() if not device.lost]
    categories = []
    failed = False
    for category, test, least in TESTS:
        if level < least:
            continue
        results = [result(test, device) for device in devices]
        bad = any(one["status"] == "Fail" for one in results)
        failed = failed or bad
        summary = {"status": "Fail" if bad else "Pass"}
        categories.append(
            {"category": category, "tests": [{"name": test, "results": results, "test_summary": summary}]}
        )
    entities = [{"entity_id": device.index, "serial_num": device.value("serial")} for device in devices]
    document = {
        "DCGM Diagnostic": {"test_categories": categories},
        "entity_groups": [{"entity_group": "GPU", "entity_group_id": 1, "entities": entities}],
        "metadata": {"version": VERSION, "Driver Version Detected": machine.reported, "simulated": True},
    }
    return document, not failed


def main(words):
    """Run with these words; return the exit status."""
    if words[:1] != ["diag"] or "-r" not in words[:-1] or "-j" not in words:
        sys.stdout.write("Parse Error: only `diag -r LEVEL -j` is simulated by aiops lab\n")
        return 255
    level = words[words.index("-r") + 1]
    state = read_json(smi.STATE)
    smi.hang(state)
    library, kernel = installed()
    try:
        machine = Machine(state, read_json(smi.RUNTIME), library, kernel, smi.identity())
        machine.load()
        machine.require_driver()
        document, well = diagnosis(machine, int(level) if level in ("1", "2", "3", "4") else 2)
    except Finished:
        sys.stdout.write("Error: Unable to run the diagnosis: the driver does not answer (simulated)\n")
        return 255
    json.dump(document, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")
    return 0 if well else UNHEALTHY
