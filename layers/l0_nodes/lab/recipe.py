"""What the base image is made of. Its digest names the cached image, so a changed recipe is a new image."""

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

RELEASES = {"bookworm": "debian 12", "trixie": "debian 13"}
"""What hosts can run, by code name: the system as `aiops_expect` calls it."""
DEFAULT_RELEASE = "bookworm"
MIRROR = "http://deb.debian.org/debian"

PACKAGES = (
    "ca-certificates",
    "cron",
    "dbus",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "libfaketime",  # the clock-skew fault preloads it; it does nothing until then
    "logrotate",
    "netbase",
    "openssh-server",
    "pciutils",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
    "tzdata",
)
"""What a stock Debian server has, and nothing that a deploy should install."""

MASKED = (
    "apt-daily-upgrade.timer",  # would take the package lock from under a deploy
    "apt-daily.timer",
    "console-getty.service",  # nobody sits at a lab host's console
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "systemd-remount-fs.service",  # fails now and then when many hosts boot at once
)

DMESG = """\
#!/usr/bin/python3
# dmesg of a lab host (simulated): this kernel is shared by all hosts, so each has a kernel log file of its own,
# bound over /dev/kmsg. The original reads one record per read(2) from a device and cannot read a file.
import sys
import time

LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
FACILITIES = ("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news")

options = sys.argv[1:]
short = set("".join(word[1:] for word in options if word[:1] == "-" and word[:2] != "--"))
words = set(options)
if words & {"-h", "--help", "-V", "--version"}:
    print("dmesg (simulated by aiops lab): -T/--ctime, -r/--raw, -x/--decode, -t/--notime")
    sys.exit(0)
boot = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
with open("/dev/kmsg", encoding="utf-8", errors="replace") as log:
    for line in log:
        head, separator, text = line.rstrip("\\n").partition(";")
        fields = head.split(",")
        if not separator or len(fields) < 3:
            continue
        priority, seconds = int(fields[0]), int(fields[2]) / 1e6
        if "T" in short or "--ctime" in words:
            stamp = "[%s] " % time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(boot + seconds))
        elif "t" in short or "--notime" in words:
            stamp = ""
        else:
            stamp = "[%12.6f] " % seconds
        if "r" in short or "--raw" in words:
            prefix = "<%d>" % priority
        elif "x" in short or "--decode" in words:
            prefix = "%-6s:%-6s: " % (FACILITIES[(priority >> 3) % 8], LEVELS[priority & 7])
        else:
            prefix = ""
        print(prefix + stamp + text)
"""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides what is in the image.

    Attributes:
        sources: apt sources (deb822 or one-line), as text.
        proxy: The machine's apt proxy, or empty. It does not end up in the image.
    """

    suite: str
    sources: str
    packages: tuple[str, ...] = PACKAGES
    masked: tuple[str, ...] = MASKED
    dmesg: str = DMESG
    proxy: str = ""
    version: int = 1

    @property
    def sources_name(self) -> str:
        """A file name whose ending tells apt in which of its two formats the sources are."""
        return "image.sources" if re.search(r"^URIs:", self.sources, re.MULTILINE | re.IGNORECASE) else "image.list"

    @property
    def digest(self) -> str:
        """Sixteen hex digits over everything in the recipe except the way to the mirror."""
        content = asdict(self)
        del content["proxy"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def recipe_for(apt_folder: Path, proxy: str = "", suite: str = DEFAULT_RELEASE) -> Recipe:
    """The recipe, with this machine's own sources for the suite where it has them, else Debian's mirror.

    Args:
        apt_folder: `/etc/apt`, or a test's stand-in.
        proxy: Value of `Acquire::http::Proxy`.
        suite: One of `RELEASES`.
    """
    suites = {suite, f"{suite}-updates", f"{suite}-security"}
    stanzas: list[str] = []
    lines: list[str] = []
    for path in (apt_folder / "sources.list", *sorted((apt_folder / "sources.list.d").glob("*"))):
        if path.is_file() and path.suffix == ".sources":
            stanzas.extend(_stanzas(path.read_text(encoding="utf-8", errors="replace"), suites))
        elif path.is_file() and path.suffix == ".list":
            lines.extend(_lines(path.read_text(encoding="utf-8", errors="replace"), suites))
    # apt takes one format per file; where both name the suite the newer one is in use.
    sources = "\n\n".join(stanzas) or "\n".join(lines) or f"deb {MIRROR} {suite} main"
    return Recipe(suite=suite, sources=sources + "\n", proxy=proxy)


def _stanzas(text: str, suites: Collection[str]) -> list[str]:
    """The stanzas of a deb822 file that are for `suites` alone and switched on."""
    found = []
    for stanza in text.split("\n\n"):
        lines = [line for line in stanza.splitlines() if line.strip() and not line.startswith("#")]
        fields = {name.lower(): value.split() for name, _, value in (line.partition(":") for line in lines)}
        named = fields.get("suites", [])
        if not named or not set(named) <= set(suites):
            continue
        if "main" in fields.get("components", []) and fields.get("enabled") != ["no"]:
            found.append("\n".join(lines))
    return found


def _lines(text: str, suites: Collection[str]) -> list[str]:
    """The one-line entries that are for one of `suites`."""
    found = []
    for line in text.splitlines():
        words = re.sub(r"\[[^]]*\]", "", line.split("#")[0]).split()
        if words[:1] == ["deb"] and len(words) > 3 and words[2] in suites and "main" in words[3:]:  # noqa: PLR2004
            found.append(line.strip())
    return found
