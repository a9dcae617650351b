"""systemd's names and mount units, as text."""

import string

from .resource import Mount

_PLAIN = frozenset(string.ascii_letters + string.digits + ":_.")
_TYPES = (".service", ".socket", ".timer", ".mount", ".path", ".target", ".slice", ".automount", ".swap", ".scope")


def unit_name(name: str) -> str:
    """`chrony` -> `chrony.service`; a name with a type stays."""
    return name if name.endswith(_TYPES) else f"{name}.service"


def mount_unit_name(path: str) -> str:
    """The unit that systemd mounts `path` with, as `systemd-escape --path --suffix=mount` names it."""
    trimmed = "/".join(part for part in path.split("/") if part)
    if not trimmed:
        return "-.mount"
    letters = []
    for index, byte in enumerate(trimmed.encode()):
        letter = chr(byte)
        if letter == "/":
            letters.append("-")
        elif letter in _PLAIN and not (index == 0 and letter == "."):
            letters.append(letter)
        else:
            letters.append(f"\\x{byte:02x}")
    return "".join(letters) + ".mount"


def mount_unit(mount: Mount) -> str:
    """The unit that mounts it now and at every boot."""
    bind = mount.kind == "bind"
    options = ",".join(["bind", *([] if mount.options == "defaults" else [mount.options])]) if bind else mount.options
    remote = mount.kind.startswith("nfs")
    return (
        "# Written by aiops.\n"
        "[Unit]\n"
        f"Description={_value(mount.path)} from {_value(mount.source)}\n"
        "\n"
        "[Mount]\n"
        f"What={_value(mount.source)}\n"
        f"Where={_value(mount.path)}\n"
        f"Type={'none' if bind else _value(mount.kind)}\n"
        f"Options={_value(options)}\n"
        "\n"
        "[Install]\n"
        f"WantedBy={'remote-fs.target' if remote else 'local-fs.target'}\n"
    )


def _value(text: str) -> str:
    """A setting's value: systemd reads `%` as the start of a specifier, and a line is a line."""
    return text.replace("%", "%%").replace("\n", " ")
