"""Which packages a reset removes, and removing them: those that came with aiops and that nobody else needs.

Standard library only, Python 3.6, imports nothing of ours; it travels with the modules that use it.
"""

import os
import re
from typing import Any, Callable, Dict, Iterable, Iterator, List, Set, Tuple

from .paths import Step, delete
from .sight import DPKG, TroubleError, automatic, is_there, run

ARCHIVES = "/var/cache/apt/archives"
PURGE_SECONDS = 900
_LOCK = "DPkg::Lock::Timeout=120"
_SAFE = ["--force-confdef", "--force-confold"]
_FIELDS = ("Depends", "Pre-Depends")

Packages = Dict[str, Dict[str, str]]


def ours(memory: Dict[str, Any], packages: Packages) -> Tuple[List[str], Dict[str, str]]:
    """What is removed, and what stays although it came with us, with the reason. Pure but for apt's marks.

    Args:
        memory: See `memory`.
        packages: What dpkg knows, see `sight.installed`.
    """
    brought = [name for name in memory["brought"] if name in packages and purgeable(packages[name])]
    # Apt takes its marks away before dpkg removes anything: what we were at when we were cut off bears none any more.
    wanted, marked = set(memory["wanted"]), set(automatic()).union(memory.get("leaving", ()))
    adopted = {
        name: "somebody has asked apt for it since"
        for name in brought
        if is_there(packages[name]) and name not in wanted and name not in marked
    }
    leaving, needed = removable([name for name in brought if name not in adopted], packages)
    return leaving, dict(adopted, **{name: "%s needs it" % other for name, other in needed.items()})


def purgeable(package: Dict[str, str]) -> bool:
    """Whether anything of a package is on the node, its settings included."""
    return package["Status"].split()[-1] != "not-installed"


def removable(brought: Iterable[str], packages: Packages) -> Tuple[List[str], Dict[str, str]]:
    """The most of `brought` that can go while all that stays keeps what it depends on; who needs the others. Pure."""
    leaving = set(brought)
    needed = {}  # type: Dict[str, str]
    there = {name: one for name, one in packages.items() if is_there(one)}
    providers = provided(there)
    changed = True
    while changed:
        changed = False
        for name, one in there.items():
            if name in leaving:
                continue
            for group in alternatives(one):
                able = set().union(*[providers.get(word, set()) for word in group]) if group else set()
                if able and able <= leaving:
                    leaving -= able
                    needed.update({other: name for other in able})
                    changed = True
    return sorted(leaving), needed


def provided(there: Packages) -> Dict[str, Set[str]]:
    """By name of a real or virtual package, the installed ones that are it."""
    found = {}  # type: Dict[str, Set[str]]
    for name, one in there.items():
        for word in [name.partition(":")[0], *words(one.get("Provides", ""))]:
            found.setdefault(word, set()).add(name)
    return found


def alternatives(package: Dict[str, str]) -> List[List[str]]:
    """What a package cannot be without: for each thing the names that would do."""
    groups = ",".join(package[field] for field in _FIELDS if package.get(field))
    return [words(group.replace("|", ",")) for group in groups.split(",") if group.strip()]


def words(text: str) -> List[str]:
    """The names in a list of dependencies, without versions and architectures."""
    return [re.split(r"[\s(:\[]", part.strip())[0] for part in text.split(",") if part.strip()]


def purge(names: List[str], packages: Packages) -> None:
    """Remove packages with their settings, and no others.

    Raises:
        TroubleError: They cannot be removed without others.
    """
    mend()
    whole = [name for name in names if packages[name].get("Essential") != "yes"]
    apt = ["apt-get", "--yes", "--allow-change-held-packages", "-o", _LOCK]
    try:
        told = run([*apt, "--simulate", "purge", *whole])
        would = {name for name in re.findall(r"^(?:Purg|Remv) (\S+)", told, re.MULTILINE)}
        others = sorted(would - set(whole) - {name.partition(":")[0] for name in whole})
        if not others:
            run([*apt, "purge", *whole], PURGE_SECONDS)
            return
    except TroubleError:
        pass  # apt finds the whole in disorder, which is no hindrance for dpkg
    run(["dpkg", *_SAFE, "--purge", *whole], PURGE_SECONDS)  # these and no others, or none


def mend() -> None:
    """End an installation that was cut off, since apt does nothing before that."""
    updates = os.path.join(DPKG, "updates")
    if any(name[:1].isdigit() for name in os.listdir(updates)) or run(["dpkg", "--audit"]).strip():
        try:
            run(["dpkg", *_SAFE, "--configure", "-a"], PURGE_SECONDS)
        except TroubleError:
            pass  # what is half there is to go anyway


def archives(names: Iterable[str]) -> List[str]:
    """What apt has kept of the packages that it was given: files of theirs in its cache."""
    plain = {name.partition(":")[0] for name in names}
    there = os.listdir(ARCHIVES) if os.path.isdir(ARCHIVES) else []
    return [os.path.join(ARCHIVES, name) for name in sorted(there) if name.partition("_")[0] in plain]


def put_back(name: str, state: Dict[str, Any], folder: str) -> None:
    """Install the copy of a package that was there before.

    Raises:
        TroubleError: dpkg does not take it.
    """
    run(["dpkg", *_SAFE, "--install", os.path.join(folder, state["copy"])], PURGE_SECONDS)
    if state.get("automatic"):
        run(["apt-mark", "auto", name])


def tell_staying(work: Any, staying: Dict[str, str], leaving: List[str], packages: Packages) -> None:
    """Note the packages that stay, or stay newer than they were."""
    for name, why in sorted(staying.items()):
        work.keep("package %s" % name, why)
    for name, version in sorted(work.memory["upgraded"].items()):
        if name not in leaving and is_there(packages.get(name, {"Status": "not-installed"})):
            work.keep("package %s %s" % (name, packages[name]["Version"]), "it was %s before" % version)


def steps(work: Any, leaving: List[str], packages: Packages, look: Callable[[], Packages]) -> Iterator[Any]:
    """Steps that remove packages, and bring back those that were there before; `look` tells what is there then."""
    states = {key[len("package:") :]: state for key, state in work.memory["seen"].items() if key.startswith("package:")}
    there = [name for name in leaving if purgeable(packages[name])]
    if there:
        count = "%d package%s: %s" % (len(there), "s" * (len(there) > 1), " ".join(there))
        yield Step("packages", "purge", count, "absent", lambda: purge(there, packages))
    kept = archives(work.memory["brought"])
    if kept:
        clean = lambda: [delete(path) for path in kept]  # noqa: E731
        yield Step("file:" + ARCHIVES, "clean", "with %d packages of ours" % len(kept), "without", clean)
    now = packages if work.dry else look()
    for name, state in sorted(states.items()):
        found = now.get(name, {"Status": "unknown ok not-installed", "Version": ""})
        if state.get("copy") and not is_there(found):
            put = lambda name=name, state=state: put_back(name, state, work.folder)  # noqa: E731
            yield Step("package:" + name, "install", "absent", state["version"], put)
        elif state["was"] not in ("absent", "not-installed") and is_there(found):
            held = found["Status"].split()[0] == "hold"
            if held != state["held"]:
                verb = "hold" if state["held"] else "unhold"
                mark = lambda name=name, verb=verb: run(["apt-mark", verb, name])  # noqa: E731
                yield Step("package:" + name, verb, "held" if held else "not held", verb, mark)
