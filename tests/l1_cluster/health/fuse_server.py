"""A FUSE file system that is empty and stops answering: run as `fuse_server.py POINT MODE`, as root.

It speaks the kernel's protocol itself (linux/fuse.h, 7.31), so that a test needs no library. Once the kernel has
greeted it, it says `ready` on stdout. MODE is one of:

    answers    it goes on answering
    stops      it stops like a process that hangs: requests wait unread, and whoever waits can be ended
    swallows   it reads `statfs` and never answers: whoever waits is in the kernel, beyond any signal
"""

import ctypes
import os
import signal
import struct
import sys
from typing import Final

GETATTR: Final = 3
STATFS: Final = 17
INIT: Final = 26
SILENT: Final = {2, 36, 42}  # FORGET, INTERRUPT, BATCH_FORGET: nobody waits for an answer
IN_HEADER: Final = struct.Struct("<IIQQIIII")
OUT_HEADER: Final = struct.Struct("<IiQ")
ENOSYS: Final = 38
FOLDER: Final = 0o040755


def mount(point: str) -> int:
    """Mount it; the file descriptor that requests come from."""
    channel = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={channel},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"test", os.fsencode(point), b"fuse.test", 0, options) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return channel


def body(opcode: int) -> bytes | None:
    if opcode == INIT:
        return struct.pack("<IIIIHHIIHHI7I", 7, 31, 0, 0, 8, 6, 65536, 1, 0, 0, 0, *[0] * 7)
    if opcode == GETATTR:
        attributes = struct.pack("<6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, FOLDER, 2, 0, 0, 0, 4096, 0)
        return struct.pack("<QII", 1, 0, 0) + attributes
    if opcode == STATFS:
        return struct.pack("<5Q4I6I", 1000, 500, 500, 100, 50, 4096, 255, 4096, 0, *[0] * 6)
    return None


def serve(channel: int, mode: str) -> None:
    while True:
        request = os.read(channel, 1 << 17)
        _, opcode, unique, *_ = IN_HEADER.unpack_from(request)
        if opcode in SILENT or (opcode == STATFS and mode == "swallows"):
            continue
        content = body(opcode)
        if content is None:
            os.write(channel, OUT_HEADER.pack(OUT_HEADER.size, -ENOSYS, unique))
            continue
        os.write(channel, OUT_HEADER.pack(OUT_HEADER.size + len(content), 0, unique) + content)
        if opcode == INIT:
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            if mode == "stops":
                os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    serve(mount(sys.argv[1]), sys.argv[2])
