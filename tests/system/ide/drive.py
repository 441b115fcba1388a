"""A drive of a machine over the qtest protocol, and the comparison of ours with the reference's."""

import pathlib
import random
import shutil
import zlib

import qtest
from machine import SystemTest
from qtest import BUSY, DRQ

SECTORS = 40960
DISC_SECTORS = 488
CONTENT = random.Random(586175)
READS_PIO = {0x20: 1, 0x21: 1, 0x24: 1, 0xC4: 16, 0x29: 16}
WRITES_PIO = {0x30: 1, 0x31: 1, 0x34: 1, 0xC5: 16, 0x39: 16, 0x38: 1, 0x3C: 1, 0xCD: 16}


class Drive:
    """One position of one machine."""

    def __init__(self, machine, position):
        self.machine, self.position = machine, position
        self.base, self.control = qtest.CHANNELS[position // 2]

    def registers(self):
        """Status, error, count, the three of the address, device."""
        inb = self.machine.inb
        status = inb(self.control)
        return " ".join(f"{v:02x}" for v in [status] + [inb(self.base + r) for r in (1, 2, 3, 4, 5, 6)])

    def ready(self):
        self.machine.wait_ata(self.base, BUSY, 0)

    def out(self, register, value):
        self.machine.outb(self.base + register, value & 0xFF)

    def words(self, count):
        data = b"".join(self.machine.inl(self.base).to_bytes(4, "little") for _ in range(count // 2))
        return data + (self.machine.inw(self.base).to_bytes(2, "little") if count % 2 else b"")

    def command(self, code, features=0, count=0, low=0, mid=0, high=0, device=0xE0, previous=None, data=b""):
        """One ATA command with all its PIO data; returns the line to compare."""
        device |= (self.position % 2) << 4
        self.out(6, device)
        if previous:
            for register, value in zip((2, 3, 4, 5), previous):
                self.out(register, value)
        for register, value in ((1, features), (2, count), (3, low), (4, mid), (5, high), (6, device), (7, code)):
            self.out(register, value)
        self.ready()
        line = [f"{code:02x}/{features:02x} {count:02x} {low:02x} {mid:02x} {high:02x} {device:02x}:", self.registers()]
        sizes, got = 0, b""
        block = READS_PIO.get(code, WRITES_PIO.get(code, 1)) * 512
        while self.machine.inb(self.control) & DRQ and sizes < 600:
            sizes += 1
            if code in WRITES_PIO:
                part, data = data[:block], data[block:]
                if not part:
                    break
                for i in range(0, len(part), 4):
                    self.machine.outl(self.base, int.from_bytes(part[i:i + 4], "little"))
            else:
                left = (self.remaining or block)
                part = self.words(min(block, left) // 2)
                self.remaining = left - len(part)
                got += part
            self.ready()
        self.remaining = 0
        self.machine.inb(self.base + 7)
        return " ".join(line + [f"{sizes} blocks {zlib.crc32(got):08x}", self.registers()])

    remaining = 0

    def lba28(self, code, lba, count, **more):
        self.remaining = (count or 256) * 512 if code in READS_PIO else 0
        return self.command(code, count=count, low=lba, mid=lba >> 8, high=lba >> 16, device=0xE0 | lba >> 24 & 15, **more)

    def lba48(self, code, lba, count, **more):
        self.remaining = (count or 65536) * 512 if code in READS_PIO else 0
        return self.command(code, count=count, low=lba, mid=lba >> 8, high=lba >> 16,
                            previous=(count >> 8, lba >> 24, lba >> 32, lba >> 40), **more)

    def chs(self, code, cylinder, head, sector, count, **more):
        self.remaining = (count or 256) * 512 if code in READS_PIO else 0
        return self.command(code, count=count, low=sector, mid=cylinder, high=cylinder >> 8, device=0xA0 | head, **more)

    def packet(self, *packet, limit=0xFFFE, features=0):
        self.out(6, 0xA0 | (self.position % 2) << 4)
        for register, value in ((1, features), (4, limit), (5, limit >> 8), (7, 0xA0)):
            self.out(register, value)
        self.ready()
        line = [" ".join(f"{b:02x}" for b in packet) + f" in {limit}:", self.registers()]
        if self.machine.inb(self.control) & DRQ:
            whole = bytes(packet) + bytes(12 - len(packet))
            for i in range(0, 12, 2):
                self.machine.outw(self.base, whole[i] | whole[i + 1] << 8)
            self.ready()
        sizes, got = [], b""
        while self.machine.inb(self.control) & DRQ and len(sizes) < 600:
            size = self.machine.inb(self.base + 4) | self.machine.inb(self.base + 5) << 8
            sizes.append((size, self.machine.inb(self.base + 2)))
            got += b"".join(self.machine.inw(self.base).to_bytes(2, "little") for _ in range(size // 2))
            self.ready()
        self.machine.inb(self.base + 7)
        shown = got.hex() if len(got) <= 64 else f"{zlib.crc32(got):08x}"
        return " ".join(line + [f"{len(sizes)} blocks {sizes[:1]} {shown}", self.registers()])


class Comparison(SystemTest):
    """The same script for a drive of our board and of the reference's."""

    def image(self, name, sectors):
        path = self.folder / name
        path.write_bytes(CONTENT.randbytes(sectors * 512))
        return str(path)

    def compare(self, position, script, ours, theirs, but=()):
        """`but`: beginnings of lines that are known to differ; they have to."""
        lines = []
        for start in (lambda: qtest.backplane(self.backplane, self.folder, "--log", "*=error", *ours),
                      lambda: qtest.qemu(self.folder, *theirs)):
            with start() as machine:
                drive = Drive(machine, position)
                lines.append([text if isinstance(text, str) else repr(text) for text in script(drive)])
        self.assertEqual(len(lines[0]), len(lines[1]))
        wrong = []
        for mine, other in zip(*lines):
            differs = mine != other
            if differs != any(mine.startswith(b) for b in but):
                wrong.append(f"ours   {mine}\nQEMU's {other}" if differs else f"no longer different: {mine}")
        if wrong:
            self.fail("\n" + "\n".join(wrong))

    def disks(self, script, but=(), position=0):
        image = self.image("disk.img", SECTORS)
        copy = str(self.folder / "copy.img")
        shutil.copy(image, copy)
        self.compare(position, script, [f"--{qtest.POSITIONS[position]}", image],
                     ["-drive", f"file={copy},format=raw,if=ide,index={position}", "-nodefaults"], but)
        self.assertEqual(pathlib.Path(image).read_bytes(), pathlib.Path(copy).read_bytes(), "the images differ")

    def discs(self, script, but=(), empty=False):
        image = self.image("disc.iso", DISC_SECTORS * 4)
        ours = ["--set", "drives.hdc.media=cdrom"] if empty else ["--cdrom", image]
        theirs = ["-drive", "if=ide,index=2,media=cdrom" + ("" if empty else f",format=raw,file={image}"), "-nodefaults"]
        self.compare(2, script, ours, theirs, but)
