"""The csv queries."""

from .ending import Finished
from .fields import ALIASES, APPLICATIONS, FIELDS, REMAPPED, canonical


def shown(value, unit, with_units):
    """A value as text, with its unit where wanted and there is one."""
    if isinstance(value, float):
        value = "%.2f" % value
    if with_units and unit and not str(value).startswith("["):
        return "%s %s" % (value, unit)
    return str(value)


def formats(options):
    """Whether a header and whether units are wanted."""
    words = options.get("format", "").split(",")
    if words[0] != "csv":
        raise Finished(2, "\"--format=\" switch is missing. Please run 'nvidia-smi -h' for help.\n")
    for word in words[1:]:
        if word not in ("noheader", "nounits"):
            raise Finished(2, 'Format "%s" is not supported.\n' % word)
    return "noheader" not in words, "nounits" not in words


def invalid(field):
    """The end for an unknown field."""
    return Finished(2, 'Field "%s" is not a valid field to query.\n\n' % field)


def require_reachable(devices):
    """End as the real tool does when a device cannot be asked."""
    for device in devices:
        if device.lost:
            raise Finished(
                15,
                "Unable to determine the device handle for GPU %s: GPU is lost.  Reboot the system "
                "to recover this GPU\n\n" % device.bus_id,
            )


def query_gpu(machine, options):
    """`--query-gpu`."""
    header, with_units = formats(options)
    asked = [word.strip() for word in options["query-gpu"].split(",")]
    names = []
    for field in asked:
        name = canonical(field, machine.reported)
        if name is None:
            raise invalid(field)
        names.append((name, name if field in ALIASES else field))
    devices = machine.devices(options.get("id"))
    require_reachable(devices)
    if header:
        print(", ".join(told + (" [%s]" % FIELDS[name][0] if FIELDS[name][0] else "") for name, told in names))
    for device in devices:
        print(", ".join(shown(device.value(name), FIELDS[name][0], with_units) for name, _ in names))


def query_remapped(machine, options):
    """`--query-remapped-rows`."""
    header, _ = formats(options)
    asked = [word.strip() for word in options["query-remapped-rows"].split(",")]
    for field in asked:
        if field not in REMAPPED:
            raise invalid(field)
    devices = machine.devices(options.get("id"))
    require_reachable(devices)
    if header:
        print(", ".join(asked))
    for device in devices:
        values = []
        for field in asked:
            other = REMAPPED[field]
            values.append(str(device.value(other if isinstance(other, str) else field)))
        print(", ".join(values))


def query_applications(machine, options):
    """`--query-compute-apps`: nothing runs on simulated devices."""
    header, _ = formats(options)
    asked = [word.strip() for word in options["query-compute-apps"].split(",")]
    for field in asked:
        if field not in APPLICATIONS:
            raise invalid(field)
    require_reachable(machine.devices(options.get("id")))
    if header:
        print(", ".join(field + (" [MiB]" if "memory" in field else "") for field in asked))
