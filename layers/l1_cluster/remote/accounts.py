"""Users and groups on their way back to what they were.

Standard library only, Python 3.6, imports nothing of ours; it travels with the modules that use it.
"""

import os
from typing import Any, Dict, Iterator, List

from .paths import Step, delete, kind, put_back
from .sight import ACCOUNT_FILES, account, digest, run

SKELETON = "/etc/skel"


def accounts(work: Any) -> Iterator[Any]:
    """Steps that remove the accounts that we or our packages have made, and give others their numbers back."""
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
    for name, state in sorted(seen.items()):
        now = account("/etc/passwd", name)
        if state["was"] is not None and now not in (None, state["was"]):
            words = usermod(name, state["was"])
            yield Step("user:" + name, "alter", shown(now), shown(state["was"]), lambda words=words: run(words))
    for name in sorted(groups.union(work.memory["evidence"]["groups"])):
        # userdel has taken the group of the same name along
        if account("/etc/group", name) is not None:
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
