"""Changes checkpoints where they lie: sets aside, deletes, leads loaders to another. Each step may be repeated.

Every rename and every file is on the disk before the next step begins. Nothing is followed out of its folder: a name is
looked up in a folder that is open already, and a link is renamed or deleted itself.
"""

import binascii
import errno
import json
import os
import shutil
import stat

PRUNED = ".aiops-pruned-"


def opened(folder):
    """A folder, open to look names up in it."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def is_there(name, folder):
    """Whether a folder that is open has the name."""
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def write(name, text, folder):
    """A file that is whole or not there, on the disk."""
    temporary = ".aiops-%s-%s" % (binascii.hexlify(os.urandom(6)).decode("ascii"), name)
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644, dir_fd=folder
    )
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)


def set_aside(root, names, stamp, markers, document):
    """Rename what is no good, with the reason in a file beside it; nothing is deleted.

    Args:
        root: The folder that it is in.
        names: Of the checkpoint's folder, or of its files.
        stamp: What is put behind each: `bad-20261128T220000Z`.
        markers: Files in the folder by which a loader takes it for a checkpoint, whatever the folder is called: they
            are renamed too.
        document: What is written beside it.

    Returns:
        The new names.
    """
    folder, moved = opened(root), []
    try:
        for name in names:
            if not is_there(name, folder):
                continue  # another has done it
            aside = free("%s.%s" % (name, stamp), folder)
            if not moved:
                write(aside + ".json", json.dumps(dict(document, name=name), indent=2) + "\n", folder)
            disarm(name, stamp, markers, folder)
            os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
            moved.append(aside)
    finally:
        os.close(folder)
    return {"moved": moved}


def free(name, folder):
    """A name that nothing has yet."""
    number, found = 1, name
    while is_there(found, folder) or is_there(found + ".json", folder):
        number += 1
        found = "%s-%d" % (name, number)
    return found


def disarm(name, stamp, markers, folder):
    """Rename the markers in a folder that is set aside."""
    if not markers or not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
        return
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=folder)
    try:
        for marker in markers:
            if is_there(marker, inner):
                os.rename(marker, "%s.%s" % (marker, stamp), src_dir_fd=inner, dst_dir_fd=inner)
        os.fsync(inner)
    finally:
        os.close(inner)


def prune(root, names):
    """Delete checkpoints: each is first renamed, so that none is ever seen in part. What was cut off is finished.

    Returns:
        The names that are gone, and by name why one could not be deleted.
    """
    folder, gone, failed = opened(root), [], {}
    try:
        for name in names:
            try:
                if is_there(name, folder):
                    os.rename(name, PRUNED + name, src_dir_fd=folder, dst_dir_fd=folder)
                    os.fsync(folder)
                gone.append(name)
            except OSError as error:
                failed[name] = error.strerror or str(error)
        for name in sorted(os.listdir(folder)):
            if name.startswith(PRUNED):
                try:
                    delete(name, folder, root)
                except OSError as error:
                    failed[name] = error.strerror or str(error)
        os.fsync(folder)
    finally:
        os.close(folder)
    return {"gone": gone, "failed": failed}


def delete(name, folder, root):
    """Delete a folder with all in it, or a file."""
    if not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
        os.unlink(name, dir_fd=folder)
        return
    if not shutil.rmtree.avoids_symlink_attacks:
        raise OSError(errno.EOPNOTSUPP, "this Python cannot delete a folder safely")
    shutil.rmtree(os.path.join(root, name))


def point(root, pointers):
    """Let files say what leads to another checkpoint.

    Args:
        root: What the paths are relative to.
        pointers: Text by path.
    """
    changed = []
    for path, text in sorted(pointers.items()):
        place = os.path.join(root, path)
        folder = opened(os.path.dirname(place))
        try:
            with open(place) as stream:
                if stream.read(1 << 16) != text:
                    write(os.path.basename(place), text, folder)
                    changed.append(path)
        finally:
            os.close(folder)
    return {"changed": changed}


def main(function, *arguments):
    """Print what one of these functions did."""
    try:
        found = {"set_aside": set_aside, "prune": prune, "point": point}[function](*arguments)
    except OSError as error:
        found = {"error": error.strerror or str(error)}
    print(json.dumps(found))
