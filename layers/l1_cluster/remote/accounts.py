"""Users and groups on their way back to what they were.

Standard library only, Python 3.6, imports nothing of ours; it travels with the modules that use it.
"""

import os
from typing import Any, Dict, Iterator, List, Set

from .paths import Step, delete, kind, put_back
from .sight import ACCOUNT_FILES, account, digest, run

SKELETON = "/etc/skel"


def present() -> Dict[str, Set[str]]:
    """The names of all users and groups, by the file that has them."""
    found = {}
    for path in ("/etc/passwd", "/etc/group"):
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            found[path] = {line.partition(":")[0] for line in stream}
    return found


def accounts(work: Any, there: Dict[str, Set[str]]) -> Iterator[Any]:
    """Steps that remove the accounts that we or our packages have made, and give others their numbers back.

    `there` is what was present before anything was undone: what has gone since, with its package or its user, is told
    like what is removed here.
    """
    seen = {key[len("user:") :]: state for key, state in work.memory["seen"].items() if key.startswith("user:")}
    made = {name for name, state in seen.items() if state["was"] is None}
    groups = {state["group"] for state in seen.values() if state["group_was"] is None}
    for name in sorted(made.union(work.memory["evidence"]["users"])):
        if account("/etc/passwd", name) is not None:
            home = seen[name]["home"] if name in seen and not seen[name]["home_was"] else ""
            if home and kind(home) == "folder":
                if untouched(home):
                    yield Step("file:" + home, "delete", "as it was made", "absent", lambda home=home: delete(home))
                else:
                    work.keep(home, "the files of %s" % name)
            yield Step("user:" + name, "remove", "present", "absent", lambda name=name: run(["userdel", "--", name]))
        elif name in there["/etc/passwd"]:
            yield Step("user:" + name, "remove", "present", "absent", lambda: None)
    for name, state in sorted(seen.items()):
        now = account("/etc/passwd", name)
        if state["was"] is not None and now not in (None, state["was"]):
            words = usermod(name, state["was"])
            yield Step("user:" + name, "alter", shown(now), shown(state["was"]), lambda words=words: run(words))
    for name in sorted(groups.union(work.memory["evidence"]["groups"])):
        if name in there["/etc/group"] or account("/etc/group", name) is not None:
            # userdel has taken the group of the same name along
            gone = lambda name=name: run(["groupdel", "--", name]) if account("/etc/group", name) else None  # noqa: E731
            yield Step("group:" + name, "remove", "present", "absent", gone)


def usermod(name: str, line: str) -> List[str]:
    """The command that gives a user what `line` of /etc/passwd says."""
    _, _, uid, gid, _, home, shell = line.split(":")
    return ["usermod", "--uid", uid, "--gid", gid, "--home", home, "--shell", shell, "--", name]


def shown(line: str) -> str:
    """The numbers and places of an account."""
    fields = line.split(":")
    return "%s:%s %s %s" % (fields[2], fields[3], fields[5], fields[6])


def untouched(home: str) -> bool:
    """Whether a home has nothing but what every new one is given."""
    given = tree(SKELETON) if os.path.isdir(SKELETON) else {}
    return tree(home) == given


def tree(folder: str) -> Dict[str, str]:
    """The paths below a folder with the digests of files."""
    found = {}
    for place, folders, names in os.walk(folder):
        for name in folders + names:
            path = os.path.join(place, name)
            found[os.path.relpath(path, folder)] = digest(path) if kind(path) == "file" else kind(path)
    return found


def put_backups_back(work: Any) -> None:
    """Where an account file is what it was, let its backup of before the last change be that too."""
    for path in ACCOUNT_FILES:
        state = work.memory["backups"][path]
        if digest(path) != state["digest"]:
            continue
        backup = dict(state["backup"], wrote=[])
        if backup["was"] == "absent":
            delete(path + "-")
        elif backup["was"] == "file" and digest(path + "-") != digest(os.path.join(work.folder, backup["kept"])):
            put_back(work, path + "-", backup)
