#!/usr/bin/env python3
"""Writes an initial RAM disk of one program: initrd.py PROGRAM OUT (cpio, the "new" format, not compressed)."""

import pathlib
import sys


def entry(number, name, mode, data=b"", device=(0, 0)):
    encoded = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def initial_ram_disk(program):
    parts = [entry(1, "dev", 0o040755), entry(2, "proc", 0o040755), entry(3, "dev/console", 0o020600, device=(5, 1)),
             entry(4, "init", 0o100755, pathlib.Path(program).read_bytes()), entry(0, "TRAILER!!!", 0)]
    return b"".join(parts)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    pathlib.Path(sys.argv[2]).write_bytes(initial_ram_disk(sys.argv[1]))
