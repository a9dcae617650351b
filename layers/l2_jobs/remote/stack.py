"""What an environment of Python is on a node, and whether it works there: its digest, its interpreter, a real import.

Standard library only, Python 3.6, imports nothing of ours but `footing`: the text of both is sent to `python3 -` with
one call of `main` behind it. Its Python is run as the job's user and nobody else.
"""

import hashlib
import json
import os
import subprocess
import sys

from .footing import account, become

MANIFEST = "manifest.json"
_ASK = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print("aiops", sys.version.split()[0])
"""
_SAID = 4096
_LONGEST = 300
"""Letters of what an import says when it fails."""


def find(name, place):
    """The folder that a name stands for: itself, what a link of that name shows, or the only one with a digest."""
    if os.path.isabs(name):
        return name
    path = os.path.join(place, name)
    if os.path.islink(path) and not os.path.isabs(os.readlink(path)) and "/" not in os.readlink(path):
        return os.path.join(place, os.readlink(path))
    if os.path.isdir(path):
        return path
    try:
        others = [one for one in os.listdir(place) if one.rpartition("-")[0] == name]
    except OSError:
        others = []
    whole = [one for one in others if os.path.isfile(os.path.join(place, one, MANIFEST))]
    return os.path.join(place, whole[0]) if len(whole) == 1 else path


def sites(path):
    """The folders that its packages are in, each with what is there."""
    for top, folders, _ in os.walk(os.path.join(path, "lib")):
        if os.path.basename(top) in ("site-packages", "dist-packages"):
            yield top, list(folders)
            folders[:] = []


def torch(path):
    """What its torch says of itself, and the packages that may extend it; None where it has none. It is not run."""
    for top, folders in sites(path):
        try:
            with open(os.path.join(top, "torch", "version.py"), errors="replace") as stream:
                said = stream.read(_SAID)
        except OSError:
            continue
        beside = sorted(name for name in folders if name.startswith("torch_") or name == "habana_frameworks")
        return "\n".join([said] + ["# beside " + name for name in beside if not name.endswith("-info")])
    return None


def records(path):
    """A digest over what its packages say of their files; the same packages give the same."""
    digest = hashlib.sha256()
    for top, folders in sites(path):
        for name in sorted(one for one in folders if one.endswith(".dist-info")):
            digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
            try:
                with open(os.path.join(top, name, "RECORD"), "rb") as stream:
                    # Whoever compiles a module writes that down too, at different times.
                    digest.update(b"".join(line for line in stream if b"__pycache__" not in line))
            except OSError:
                digest.update(b"-")
    return digest.hexdigest()


def manifest(path, name):
    """Digest, modules to import and Python that an environment says of itself, and what is wrong with that."""
    label = os.path.basename(path)
    try:
        with open(os.path.join(path, MANIFEST)) as stream:
            said = json.load(stream)
        digest, imports, python = str(said["digest"]), [str(one) for one in said["imports"]], str(said["python"])
    except FileNotFoundError:
        half = label.rpartition("-")[0] == name
        return None, [], None, "it is half there: it has no manifest" if half else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        return None, [], None, "its manifest cannot be read: %s" % error
    own = digest.startswith(label.rpartition("-")[2])
    return digest, imports, python, None if own else "its manifest is of another one"


def looked(spec):
    """What is there."""
    path = find(spec["name"], spec["place"])
    found = {"path": path, "digest": None, "records": None, "python": None, "torch": None, "why": None}
    if not os.path.isdir(path):
        found["why"] = "it is not there"
        return found
    found["digest"], imports, wanted, found["why"] = manifest(path, spec["name"])
    if found["why"] is not None:
        return found
    found["records"], found["torch"] = records(path), torch(path)
    python = os.path.join(path, "bin", "python")
    if not os.path.exists(python):
        found["why"] = "its interpreter %s is not there" % (
            os.path.realpath(python) if os.path.lexists(python) else python
        )
        return found
    found["python"], found["why"] = ask(python, imports, spec)
    if found["why"] is None and wanted is not None and not found["python"].startswith(wanted + "."):
        found["why"] = "its Python is %s, and it was made for %s" % (found["python"], wanted)
    return found


def ask(python, imports, spec):
    """The version of an interpreter that imports what it must; or None, and what went wrong."""
    numbers = account(spec["user"])
    if numbers is None:
        return None, "there is no account `%s`" % spec["user"]

    def descend():
        become(spec["user"], numbers["uid"], numbers["gid"])

    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/", "HF_HUB_OFFLINE": "1"}
    words = [python, "-I", "-B", "-c", _ASK, *imports]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd="/",
            timeout=spec["seconds"],
            preexec_fn=descend,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, "it does not import %s within %d s" % (", ".join(imports) or "anything", spec["seconds"])
    except OSError as error:
        return None, "its interpreter cannot be started: %s" % (error.strerror or error)
    last = (done.stdout.decode("utf-8", "replace").splitlines() or [""])[-1]
    if done.returncode == 0 and last.startswith("aiops "):
        return last[len("aiops ") :], None
    said = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it ended with %d" % done.returncode])[-1]
    return None, "it does not work: %s" % said[:_LONGEST]


def main(spec):
    """Print what was found, as JSON."""
    json.dump(looked(spec), sys.stdout)
