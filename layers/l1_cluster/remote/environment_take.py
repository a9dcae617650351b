"""Takes environments to a node: fetched from the head, compared, unpacked beside their place and renamed.

Standard library only, Python 3.6, imports nothing of ours but `environment_files` and `environment_lock`. The text of
all is sent to `python3 -` with one call of `take` behind it. A folder with a manifest.json is whole: that is written
last, and all is on the disk before the folder has its name.
"""

import errno
import json
import os
import shutil
import tarfile
import urllib.error
import urllib.request
from typing import Any, Dict, List, Tuple

from .environment_files import (
    BLOCK,
    MANIFEST,
    READABLE,
    RefusedError,
    Spec,
    forget,
    need_space,
    sha256_of,
    sync_folder,
    told,
)
from .environment_lock import once, own_folder

TAKING = ".taking-"
ARCHIVES = "AIOPS_ARCHIVES"
"""The variable in which a node is told what the head has built: what `build` has printed."""

_FETCH_SECONDS = 60


def take(environments: List[Spec], source: str, archives: str, shared: str = "") -> None:
    """Have each environment in its place; nothing is changed where it is whole already.

    Args:
        environments: See `Spec`.
        source: The address at which the head serves what it has built.
        archives: Where the head itself has it.
        shared: A folder that all nodes share, in which environments are then, and to which the places are links;
            empty where each node has its own.
    """

    def work() -> None:
        known = json.loads(os.environ.get(ARCHIVES) or "{}")
        for one in environments:
            lay(one, known.get(one["label"]), source, archives, shared)

    told(work)


def lay(environment: Spec, known: Any, source: str, archives: str, shared: str) -> None:
    """Have one environment in its place, and its name a link to it.

    Raises:
        RefusedError: It cannot be had, or somebody has a folder of their own at its name, which jobs would then find.
    """
    label, path = environment["label"], environment["path"]
    name = os.path.join(os.path.dirname(path), environment["name"])
    if os.path.lexists(name) and not os.path.islink(name):
        raise RefusedError("%s is not ours, and jobs would find it under that name: move it away" % name)
    place = os.path.join(shared, label) if shared else path

    def there() -> bool:
        return whole(place, environment["manifest"])

    def work() -> None:
        if known is None:
            raise RefusedError("the head has not built %s" % label)
        bring(environment, known, place, source, archives)

    once(os.path.dirname(place), label, there, work)
    if shared:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        link(place, path)
    link(label, name)


def whole(path: str, manifest: str) -> bool:
    """Whether an environment is there that says of itself what is wanted."""
    try:
        with open(os.path.join(path, MANIFEST)) as stream:
            return stream.read() == manifest
    except OSError:
        return False


def bring(environment: Spec, known: Dict[str, Any], place: str, source: str, archives: str) -> None:
    """Fetch, compare, unpack beside its place in a folder of our own, and rename."""
    label, folder = environment["label"], os.path.dirname(place)
    beside = own_folder(folder, TAKING + label)
    packed = os.path.join(beside, label + ".tar.gz")
    own = os.path.join(archives, label + ".tar.gz")
    try:
        need_space(folder, known["size"] + known["unpacked"])
        if not os.path.isfile(own):
            fetch("%s/%s.tar.gz" % (source, label), packed)
            own = packed
        if sha256_of(own) != known["sha256"]:
            raise RefusedError("%s is not what the head has built: it was changed on the way" % label)
        new = os.path.join(beside, "new")
        os.makedirs(new, mode=0o755)
        extract(own, new)
        with open(os.path.join(new, MANIFEST), "w") as stream:
            stream.write(environment["manifest"])
            os.fchmod(stream.fileno(), 0o444)
        os.sync()
        os.chmod(new, READABLE)
        put(new, place, os.path.join(beside, "old"), environment["manifest"])
        sync_folder(folder)
    finally:
        forget(beside)


def put(new: str, place: str, old: str, manifest: str) -> None:
    """Give what is whole its name; what is there and is not, goes aside first. One that is whole stays."""
    if os.path.islink(place) or not os.path.isdir(place):
        if os.path.lexists(place):
            os.rename(place, old)
    elif not whole(place, manifest):
        os.rename(place, old)
    try:
        os.rename(new, place)
    except OSError as error:
        # A folder that is not empty is never replaced: another one has come to the end before us.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not whole(place, manifest):
            raise


def fetch(address: str, path: str) -> None:
    """Fetch a file from the head.

    Raises:
        RefusedError: It does not answer, or has no such file.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=_FETCH_SECONDS) as answer, open(path, "wb") as stream:
            shutil.copyfileobj(answer, stream, BLOCK)
    except (urllib.error.URLError, OSError) as error:
        raise RefusedError("%s cannot be fetched: %s" % (address, getattr(error, "reason", error))) from None


def extract(path: str, folder: str) -> None:
    """Unpack a file whose digest is known to be that of what we built."""
    late: List[Tuple[str, int]] = []
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            if member.name.startswith("/") or ".." in member.name.split("/"):
                raise RefusedError("%s would leave its folder: %s" % (path, member.name))
            if member.isdir():
                late.append((os.path.join(folder, member.name), member.mode))
                member.mode = 0o755
            archive.extract(member, folder)
    for name, mode in reversed(late):
        os.chmod(name, mode)


def link(target: str, path: str) -> None:
    """Have a link at `path`, in one step."""
    if os.path.islink(path) and os.readlink(path) == target:
        return
    if os.path.isdir(path) and not os.path.islink(path):
        forget(path)  # it had its own, and shares one now
    temporary = "%s.%d" % (path, os.getpid())
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.rename(temporary, path)
