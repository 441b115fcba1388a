"""Snapshot files, written from their description in docs/snapshots.md alone."""

import struct
import zlib

PIECE = 1 << 20
MAGIC = b"\x89BPSNAP\n"
REQUIRED, PIECES = 1, 2
UNSIGNED, SIGNED, BOOL, BYTES, FLOAT = 1, 2, 3, 4, 5


def u32(value):
    return struct.pack("<I", value)


def u64(value):
    return struct.pack("<Q", value)


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return u32(len(data)) + data


def many(items):
    items = list(items)
    return u32(len(items)) + b"".join(items)


def field(name, kind, size, *values, since=1, flags=0):
    if kind == BYTES:
        data = values[0]
    else:
        code = {UNSIGNED: "BHIQ", SIGNED: "bhiq", BOOL: "BBBB", FLOAT: "  fd"}[kind][size.bit_length() - 1]
        data = struct.pack(f"<{len(values)}{code}", *values)
    return text(name) + u32(kind) + u32(size) + u32(since) + u32(flags) + u64(len(data) // size) + data


def device(name, kind, fields=(), lines=(), timers=(), properties=(), plugin=("", "", ""), version=1):
    return (text(name) + text(kind) + b"".join(map(text, plugin)) + u32(version) +
            many(text(n) + text(v) for n, v in properties) + many(fields) + many(text(n) + bytes([v]) for n, v in lines) +
            many(text(n) + u64(due) + u64(sequence) for n, due, sequence in timers))


def frame(data):
    """A zstd frame that holds the data as it is, in blocks of 128 KiB (RFC 8878)."""
    blocks = [data[at:at + (1 << 17)] for at in range(0, len(data), 1 << 17)]
    out = b"\x28\xb5\x2f\xfd" + b"\xe0" + u64(len(data))  # one segment, content size in 8 bytes
    for number, block in enumerate(blocks):
        out += struct.pack("<I", len(block) << 3 | (number == len(blocks) - 1))[:3] + block
    return out


def pieces(memory):
    out = b""
    for index in range(0, (len(memory) + PIECE - 1) // PIECE):
        piece = memory[index * PIECE:(index + 1) * PIECE]
        if any(piece):
            packed = frame(piece)
            out += u32(index) + u32(len(packed)) + packed
    return out


def section(name, content, flags=REQUIRED, raw=None):
    header = b"SECT" + u32(flags) + name.encode().ljust(16, b"\0") + u64(len(content))
    header += u64(len(content) if raw is None else raw) + u32(1) + u32(zlib.crc32(content)) + u32(0)
    return header, u32(zlib.crc32(header)) + content


def snapshot(board="board", program="0.1.0", request="{}", deterministic=True, time=1_500_000_000, instructions=(1000,),
             devices=(), facts=(), memory=(), more=()):
    """memory: (owner, name, bytes); facts: (publisher, fact, key, pairs); more: sections without meaning."""
    machine = text(program) + u32(0) + u32(2) + text(board) + text(request) + bytes([deterministic]) + u64(time)
    machine += u64(1262304000) + u64(7) + u64(20) + u64(18) + many(map(u64, instructions))
    if len(instructions) > 1:  # whose turn it is
        machine += u32(0) + u64(0)
    sections = [
        section("machine", machine),
        section("devices", many(devices)),
        section("facts", many(text(who) + text(what) + text(key) + many(text(n) + text(v) for n, v in pairs)
                              for who, what, key, pairs in facts)),
        section("memory", many(text(owner) + text(name) + u64(len(data)) for owner, name, data in memory)),
        *(section(name, content, flags=0) for name, content in more),
        *(section("ram", pieces(data), flags=REQUIRED | PIECES, raw=len(data)) for _, _, data in memory),
    ]
    header = MAGIC + u32(1)
    checksum = zlib.crc32(header)
    out = header + u32(checksum)
    for head, rest in sections:
        checksum = zlib.crc32(head, checksum)
        out += head + rest
    return out + b"".join(section("end", u32(len(sections)) + u32(checksum)))
