"""What repairs a node that has drifted: a command where one does it, else honest words. Pure."""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from aiops.layers.l0_nodes.nodeset import fold

from .majority import Odd

_NAMED = 8
"""So many packages are named in one command; of more, somebody should look first."""

UNDECIDED = "nobody has the majority: make them alike, or put them in groups of their own"


@dataclass(frozen=True, slots=True)
class Commands:
    """Command lines for an inventory, which can be pasted.

    Attributes:
        inventory: Its path, as it is to be typed.
        bundled: Nodes whose packages come from the bundle, which apt only sees by its own configuration.
        phases: The folder of the phases, where they are not the shipped ones.
    """

    inventory: str
    bundled: frozenset[str] = frozenset()
    phases: str | None = None

    def deploy(self, phases: Sequence[str], nodes: Iterable[str]) -> str:
        """Bring `nodes` to what `phases` want of them."""
        own = ("--phases", self.phases) if self.phases is not None else ()
        chosen = ("--only", ",".join(phases), "--on", fold(nodes))
        return join(("aiops", "cluster", "deploy", self.inventory, *chosen, *own))

    def execute(self, nodes: Iterable[str], *words: str, root: bool = True) -> str:
        """Run `words` on `nodes`."""
        start = ("aiops", "node", "exec", "-i", self.inventory, "--on", fold(nodes), *(["--root"] if root else []))
        return join((*start, "--", *words))

    def apt(self, nodes: Sequence[str], *words: str) -> tuple[str, ...]:
        """Run apt-get on `nodes`, with the packages that they are deployed from: a command for each source of them."""
        bundled = [node for node in nodes if node in self.bundled]
        others = [node for node in nodes if node not in self.bundled]
        sources = ((bundled, ("env", "APT_CONFIG=/etc/aiops/apt.conf")), (others, ()))
        return tuple(self.execute(some, *start, "apt-get", *words) for some, start in sources if some)


def join(words: Iterable[str]) -> str:
    """A command line to be pasted into bash; control characters, which a node may have sent, stand in it as text."""
    return " ".join(shlex.quote(word) if word.isprintable() else f"$'{_escaped(word)}'" for word in words)


def _escaped(word: str) -> str:
    return "".join(
        (f"\\{letter}" if letter in "\\'" else letter)
        if letter.isprintable()
        else "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "replace"))
        for letter in word
    )


def repair(trait: str, odds: Sequence[Odd], nodes: Sequence[str], model: str, commands: Commands) -> str:
    """How `nodes` become as most of their group are.

    Args:
        trait: In which they differ.
        odds: What differs.
        nodes: Those that differ in the same way.
        model: A node that is as most are.
        commands: How command lines are written.
    """
    return _REPAIRS[trait](odds, nodes, model, commands)


def _kernel(odds: Sequence[Odd], nodes: Sequence[str], _model: str, commands: Commands) -> str:
    install = commands.execute(nodes, "apt-get", "install", "-y", f"linux-image-{odds[0].expected}")
    return f"drain it and boot that kernel; where it is not installed, first `{install}`"


def _driver(_odds: Sequence[Odd], nodes: Sequence[str], _model: str, commands: Commands) -> str:
    look = commands.execute(nodes, "systemctl", "reboot")
    return f"drain it, then load the installed driver: `{look}`; where another one is installed, that comes first"


def _packages(odds: Sequence[Odd], nodes: Sequence[str], model: str, commands: Commands) -> str:
    if len(odds) > _NAMED:
        return f"bring {len(odds)} packages to what {model} has; `--json` lists all of them"
    words = [f"{one.item}-" if one.expected is None else f"{one.item}={one.expected}" for one in odds]
    lines = commands.apt(nodes, "install", "-y", "--allow-downgrades", "--allow-change-held-packages", *words)
    return " and ".join(f"`{line}`" for line in lines)


def _sudoers(odds: Sequence[Odd], nodes: Sequence[str], model: str, commands: Commands) -> str:
    steps = []
    extra = [one.item for one in odds if one.expected is None]
    if extra:
        look = commands.execute(nodes, "cat", *extra)
        remove = commands.execute(nodes, "rm", *extra)
        steps.append(f"look at it, `{look}`, and remove it, `{remove}`")
    steps += [f"copy {one.item} from {model}" for one in odds if one.expected is not None]
    return "; then ".join(steps)


def _accounts(odds: Sequence[Odd], nodes: Sequence[str], _model: str, commands: Commands) -> str:
    steps = []
    for one in odds:
        name, _, group = one.item.partition(" in ")
        if not group:
            steps.append(f"see who is root: `{commands.execute(nodes, 'getent', 'passwd', '0')}`")
            continue
        change = "--delete" if one.expected is None else "--add"
        steps.append(f"`{commands.execute(nodes, 'gpasswd', change, name, group)}`")
    return "; then ".join(dict.fromkeys(steps))


def _time(_odds: Sequence[Odd], nodes: Sequence[str], _model: str, commands: Commands) -> str:
    return f"`{commands.execute(nodes, 'systemctl', 'restart', 'chrony')}`: it then has the sources in its files"


def _disks(_odds: Sequence[Odd], nodes: Sequence[str], model: str, commands: Commands) -> str:
    look = commands.execute([*nodes, model], "lsblk", "--output", "NAME,SIZE,FSTYPE,MOUNTPOINTS,MODEL", root=False)
    return f"compare its disks: `{look}`"


def _accelerators(_odds: Sequence[Odd], nodes: Sequence[str], _model: str, commands: Commands) -> str:
    look = commands.execute(nodes, "dmesg", "--level", "err,warn")
    return f"a device is gone, or another one than in the others: `{look}`"


def _firmware(odds: Sequence[Odd], _nodes: Sequence[str], _model: str, _commands: Commands) -> str:
    wanted = ", ".join(f"{one.item} {one.expected}" for one in odds)
    return f"drain it, then bring the firmware to {wanted} with its maker's tool"


def _words(text: str) -> Callable[[Sequence[Odd], Sequence[str], str, Commands], str]:
    def told(odds: Sequence[Odd], _nodes: Sequence[str], model: str, _commands: Commands) -> str:
        return text.format(expected=odds[0].expected, model=model)

    return told


_REPAIRS: Mapping[str, Callable[[Sequence[Odd], Sequence[str], str, Commands], str]] = {
    "system": _words("bring its system to {expected}, or give it a group of its own in the inventory"),
    "kernel": _kernel,
    "machine": _words("it is another machine than {model}: give it a group of its own in the inventory"),
    "BIOS": _words("drain it, then bring its BIOS to {expected} with its maker's tool"),
    "processor": _words("it has another processor than {model}: give it a group of its own in the inventory"),
    "microcode": _words("install the microcode package and the BIOS that {model} has, then reboot it"),
    "accelerators": _accelerators,
    "driver": _driver,
    "firmware": _firmware,
    "OFED": _words("drain it, then bring its OFED to what {model} has: {expected}"),
    "disk layout": _disks,
    "packages": _packages,
    "sudoers": _sudoers,
    "privileged users": _accounts,
    "time sources": _time,
}
