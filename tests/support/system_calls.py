r"""A recording of changes to files from what `strace -f -xx` says of a process; see `power_cut`.

The process must be one with one table of descriptors (threads are fine), and all that it writes through must be opened
after strace has come. `CALLS` is what has to be traced; strings must be whole (`-s`) and in hexadecimal (`-xx`). It is
long because it has a method for each call.
"""

import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .power_cut import Change, Name, Recording, Resize, Sync, Write, applied

CALLS = (
    "open,openat,creat,close,dup,dup2,dup3,fcntl,lseek,read,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,"
    "fallocate,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,symlink,symlinkat,fsync,"
    "fdatasync,syncfs,sync,mmap,copy_file_range,sendfile"
)
OPTIONS = ("-f", "-q", "-a1", "-xx", "-s", str(1 << 26), "-e", f"trace={CALLS}", "-e", "signal=none")

_LINE = re.compile(r"(?:(\d+) +)?(\w+)\((.*)\)\s*= (-?\d+|0x[0-9a-f]+|\?)[^)]*")
_PARTED = re.compile(r"(\d+) +(.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_ATOMIC_EXCHANGE = "RENAME_EXCHANGE"


class UnreadableError(Exception):
    """The log holds something that cannot be told as changes of files."""


@dataclass(slots=True)
class _Open:
    """An open file: what `dup` shares."""

    what: int
    at: int = 0
    appends: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that has succeeded."""

    name: str
    words: tuple[str, ...]
    strings: tuple[bytes, ...]
    result: int


def calls(log: Iterable[str]) -> Iterator[Call]:
    """The calls that succeeded, in the order in which they ended."""
    parted = dict[str, str]()
    for raw in log:
        line = raw.rstrip("\n")
        if match := _PARTED.fullmatch(line):
            parted[match[1]] = match[2]
            continue
        if match := _RESUMED.fullmatch(line):
            line = f"{match[1]} {parted.pop(match[1])}{match[2]}"
        if not (match := _LINE.fullmatch(line)):
            continue  # a signal, or the end of a thread
        found = list(_STRING.finditer(match[3]))
        if any(one[2] for one in found):
            raise UnreadableError(f"a string was cut off: {line[:80]}")
        if match[4] == "?" or (result := int(match[4], 0)) < 0:
            continue
        strings = tuple(bytes.fromhex(one[1].replace("\\x", "")) for one in found)
        yield Call(match[2], tuple(word.strip() for word in _STRING.sub('""', match[3]).split(",")), strings, result)


class Recorder:
    """Follows the calls of a process, from what was there before."""

    def __init__(self, root: Path) -> None:
        self._folders: dict[int, dict[str, int]] = {0: {}}
        self._start: dict[int, dict[str, int]] = {}
        self._contents: dict[int, bytes] = {}
        self._begun: dict[int, bytes] = {}
        self._open = dict[int, _Open]()
        self._changes: list[Change] = []
        self._next = 1
        self._root = self._folder(str(root))
        self._read(root, self._root)
        self._begun = dict(self._contents)
        self._start = {number: dict(entries) for number, entries in self._folders.items()}

    def recording(self, log: Iterable[str]) -> Recording:
        """What the process did.

        Raises:
            UnreadableError: It changed files in a way that is not told by its calls.
        """
        for call in calls(log):
            self._follow(call)
        known = {number: self._start.get(number, {}) for number in self._folders}
        return Recording(self._root, known, self._begun, tuple(self._changes))

    def _read(self, path: Path, number: int) -> None:
        for one in sorted(path.iterdir()):
            entry = self._number()
            self._folders[number][one.name] = entry
            if one.is_dir():
                self._folders[entry] = {}
                self._read(one, entry)
            elif stat.S_ISREG(one.lstat().st_mode):
                self._contents[entry] = one.read_bytes()

    def _number(self) -> int:
        self._next += 1
        return self._next

    def _folder(self, path: str) -> int:
        """The folder at `path`; one that nobody made is one that was there before, elsewhere."""
        number = 0
        for part in PurePosixPath(path).parts[1:]:
            if part not in self._folders[number]:
                entry = self._number()
                self._folders[number][part] = entry
                self._folders[entry] = {}
            number = self._folders[number][part]
            if number not in self._folders:
                raise UnreadableError(f"{path} goes through a file")
        return number

    def _place(self, directory: str, path: bytes) -> tuple[int, str]:
        """Folder and name of a path; a relative one begins at an open folder."""
        pure = PurePosixPath(path.decode("utf-8", "surrogateescape"))
        if pure.is_absolute():
            return self._folder(str(pure.parent)), pure.name
        if not directory.isdigit() or int(directory) not in self._open or len(pure.parts) != 1:
            raise UnreadableError(f"it is not known where {pure} is")
        return self._open[int(directory)].what, pure.name

    def _set(self, *entries: tuple[int, str, int | None]) -> None:
        for folder, name, target in entries:
            self._folders[folder].pop(name, None)
            if target is not None:
                self._folders[folder][name] = target
        self._changes.append(Name(entries))

    def _change(self, change: Write | Resize) -> None:
        self._contents[change.file] = applied(self._contents[change.file], change)
        self._changes.append(change)

    def _put(self, descriptor: str, data: bytes, at: int | None = None) -> None:
        one = self._open.get(int(descriptor))
        if one is None or one.what not in self._contents or not data:
            return
        where = len(self._contents[one.what]) if one.appends else one.at if at is None else at
        self._change(Write(one.what, where, data))
        if at is None:
            one.at = where + len(data)

    def _follow(self, call: Call) -> None:
        handler = getattr(self, f"_do_{call.name}", None)
        if handler is None:
            raise UnreadableError(f"{call.name} is not known here")
        handler(call)

    def _opened(self, place: tuple[int, str], flags: str, result: int) -> None:
        self._open.pop(result, None)
        folder, name = place
        what = self._folders[folder].get(name) if name else 0
        if "O_TMPFILE" in flags:
            raise UnreadableError("a file without a name was written")
        if what is None and "O_CREAT" in flags:
            what = self._number()
            self._contents[what] = b""
            self._set((folder, name, what))
        elif what is not None and "O_TRUNC" in flags and self._contents.get(what):
            self._change(Resize(what, 0))
        elif what is None and "O_DIRECTORY" in flags:
            what = self._folder_of(folder, name)
        if what is not None:
            self._open[result] = _Open(what, appends="O_APPEND" in flags)

    def _folder_of(self, folder: int, name: str) -> int:
        entry = self._number()
        self._folders[folder][name] = entry
        self._folders[entry] = {}
        return entry

    def _do_openat(self, call: Call) -> None:
        self._opened(self._place(call.words[0], call.strings[0]), call.words[2], call.result)

    def _do_open(self, call: Call) -> None:
        self._opened(self._place("", call.strings[0]), call.words[1], call.result)

    def _do_creat(self, call: Call) -> None:
        self._opened(self._place("", call.strings[0]), "O_CREAT|O_TRUNC", call.result)

    def _do_close(self, call: Call) -> None:
        self._open.pop(int(call.words[0]), None)

    def _do_dup(self, call: Call) -> None:
        self._open.pop(call.result, None)
        if (one := self._open.get(int(call.words[0]))) is not None:
            self._open[call.result] = one

    _do_dup2 = _do_dup3 = _do_dup

    def _do_fcntl(self, call: Call) -> None:
        if call.words[1].startswith("F_DUPFD"):
            self._do_dup(call)

    def _do_lseek(self, call: Call) -> None:
        if (one := self._open.get(int(call.words[0]))) is not None:
            one.at = call.result

    def _do_read(self, call: Call) -> None:
        if (one := self._open.get(int(call.words[0]))) is not None:
            one.at += call.result

    def _do_write(self, call: Call) -> None:
        self._put(call.words[0], b"".join(call.strings)[: call.result])

    _do_writev = _do_write

    def _do_pwrite64(self, call: Call) -> None:
        self._put(call.words[0], call.strings[0][: call.result], int(call.words[-1]))

    def _do_pwritev(self, call: Call) -> None:
        self._put(call.words[0], b"".join(call.strings)[: call.result], int(call.words[-1]))

    def _do_pwritev2(self, call: Call) -> None:
        at = int(call.words[-2])
        self._put(call.words[0], b"".join(call.strings)[: call.result], None if at < 0 else at)

    def _do_ftruncate(self, call: Call) -> None:
        if (one := self._open.get(int(call.words[0]))) is not None and one.what in self._contents:
            self._change(Resize(one.what, int(call.words[1])))

    def _do_truncate(self, call: Call) -> None:
        folder, name = self._place("", call.strings[0])
        if (what := self._folders[folder].get(name)) in self._contents and what is not None:
            self._change(Resize(what, int(call.words[1])))

    def _do_fallocate(self, call: Call) -> None:
        one = self._open.get(int(call.words[0]))
        if one is None or one.what not in self._contents:
            return
        if call.words[1] not in ("0", "FALLOC_FL_KEEP_SIZE"):
            raise UnreadableError(f"fallocate with {call.words[1]}")
        end = int(call.words[2]) + int(call.words[3])
        if call.words[1] == "0" and end > len(self._contents[one.what]):
            self._change(Resize(one.what, end))

    def _renamed(self, old: tuple[int, str], new: tuple[int, str], flags: str = "") -> None:
        what, there = self._folders[old[0]].get(old[1]), self._folders[new[0]].get(new[1])
        if what is None:
            raise UnreadableError(f"{old[1]} was renamed, and is not known")
        self._set((*old, there if _ATOMIC_EXCHANGE in flags else None), (*new, what))

    def _do_rename(self, call: Call) -> None:
        self._renamed(self._place("", call.strings[0]), self._place("", call.strings[1]))

    def _do_renameat(self, call: Call) -> None:
        old, new = self._place(call.words[0], call.strings[0]), self._place(call.words[2], call.strings[1])
        self._renamed(old, new, "".join(call.words[4:]))

    _do_renameat2 = _do_renameat

    def _gone(self, place: tuple[int, str]) -> None:
        if place[1] in self._folders[place[0]]:
            self._set((*place, None))

    def _do_unlink(self, call: Call) -> None:
        self._gone(self._place("", call.strings[0]))

    _do_rmdir = _do_unlink

    def _do_unlinkat(self, call: Call) -> None:
        self._gone(self._place(call.words[0], call.strings[0]))

    def _made(self, place: tuple[int, str]) -> None:
        number = self._number()
        self._folders[number] = {}
        self._set((*place, number))

    def _do_mkdir(self, call: Call) -> None:
        self._made(self._place("", call.strings[0]))

    def _do_mkdirat(self, call: Call) -> None:
        self._made(self._place(call.words[0], call.strings[0]))

    def _linked(self, old: tuple[int, str], new: tuple[int, str]) -> None:
        if (what := self._folders[old[0]].get(old[1])) is None:
            raise UnreadableError(f"{old[1]} was linked, and is not known")
        self._set((*new, what))

    def _do_link(self, call: Call) -> None:
        self._linked(self._place("", call.strings[0]), self._place("", call.strings[1]))

    def _do_linkat(self, call: Call) -> None:
        self._linked(self._place(call.words[0], call.strings[0]), self._place(call.words[2], call.strings[1]))

    def _do_fsync(self, call: Call) -> None:
        if (one := self._open.get(int(call.words[0]))) is not None:
            self._changes.append(Sync(one.what))

    _do_fdatasync = _do_fsync

    def _do_sync(self, _call: Call) -> None:
        self._changes += [Sync(number) for number in (*self._folders, *self._contents)]

    _do_syncfs = _do_sync

    def _do_mmap(self, call: Call) -> None:
        shared = "MAP_SHARED" in call.words[3] and "PROT_WRITE" in call.words[2]
        one = self._open.get(int(call.words[4])) if call.words[4].isdigit() else None
        if shared and one is not None and one.what in self._contents:
            raise UnreadableError("a file was written through memory")

    def _copied(self, source: str, target: str, at: int | None, count: int) -> None:
        one, other = self._open.get(int(source)), self._open.get(int(target))
        if other is None or other.what not in self._contents:
            return
        if one is None or one.what not in self._contents:
            raise UnreadableError("a file was filled from one that is not known")
        begin = one.at if at is None else at
        self._put(target, self._contents[one.what][begin : begin + count])
        if at is None:
            one.at = begin + count

    def _do_sendfile(self, call: Call) -> None:
        at = None if call.words[2] == "NULL" else int(re.findall(r"\d+", call.words[2])[0])
        self._copied(call.words[1], call.words[0], at, call.result)

    def _do_copy_file_range(self, call: Call) -> None:
        if call.words[1] != "NULL" or call.words[3] != "NULL":
            raise UnreadableError("copy_file_range with places of its own")
        self._copied(call.words[0], call.words[2], None, call.result)
