"""A client of the qtest protocol, for our program and for QEMU's: drives a machine's devices without a CPU.

    with backplane(PROGRAM, folder, "--hda", "disk.img") as machine:     # or qemu(folder, ...)
        machine.outb(0x70, 0x10)
        print(machine.inb(0x71), machine.cmos(range(0x10, 0x80)), machine.identify(0))
"""

import base64
import os
import pathlib
import re
import socket
import subprocess
import time

PATIENCE = float(os.environ.get("PATIENCE", "60"))
QEMU = os.environ.get("QEMU_SYSTEM", "qemu-system-x86_64")
# Of an ATA controller: command block, control port.
CHANNELS = ((0x1F0, 0x3F6), (0x170, 0x376))
POSITIONS = ("hda", "hdb", "hdc", "hdd")
BUSY, DRDY, DRQ, ERR = 0x80, 0x40, 0x08, 0x01
PIC_MASTER, PIC_SLAVE = 0x20, 0xA0


class QtestError(Exception):
    """The machine answered FAIL, or nothing."""


class Qtest:
    """One machine. Commands have the protocol's names; `irqs` are the levels of intercepted lines, `interrupts` what
    happened to them, as (line, level)."""

    def __init__(self, command, path, folder, steps=True):
        self.steps = steps  # somebody has to let time go on
        self.errors_file = pathlib.Path(folder) / f"qtest-errors-{time.monotonic_ns()}"
        with open(self.errors_file, "wb") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        self.interrupts, self.pending = [], b""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.kill()
                    raise QtestError(f"{' '.join(command)}:\n{self.errors()}") from None
                time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def errors(self):
        return self.errors_file.read_text(errors="replace")

    def kill(self):
        self.socket.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def terminate(self, timeout=PATIENCE):
        """Asks the program to end; returns its exit status."""
        self.process.terminate()
        return self.process.wait(timeout)

    # --- The protocol ---

    def line(self):
        while b"\n" not in self.pending:
            got = self.socket.recv(1 << 16)
            if not got:
                raise QtestError(f"the machine has ended:\n{self.errors()}")
            self.pending += got
        line, self.pending = self.pending.split(b"\n", 1)
        return line.decode()

    def command(self, text):
        """Sends a line and returns what follows OK."""
        self.socket.sendall(text.encode() + b"\n")
        while True:
            line = self.line()
            found = re.fullmatch(r"IRQ (raise|lower) (\d+)", line)
            if found:
                self.interrupts.append((int(found[2]), found[1] == "raise"))
                continue
            if line.split(" ")[0] != "OK":
                raise QtestError(f"{text[:80]}: {line}")
            return line[3:]

    def number(self, text):
        return int(self.command(text), 0)

    def inb(self, port):
        return self.number(f"inb {port:#x}")

    def inw(self, port):
        return self.number(f"inw {port:#x}")

    def inl(self, port):
        return self.number(f"inl {port:#x}")

    def outb(self, port, value):
        self.command(f"outb {port:#x} {value:#x}")

    def outw(self, port, value):
        self.command(f"outw {port:#x} {value:#x}")

    def outl(self, port, value):
        self.command(f"outl {port:#x} {value:#x}")

    def readb(self, address):
        return self.number(f"readb {address:#x}")

    def readw(self, address):
        return self.number(f"readw {address:#x}")

    def readl(self, address):
        return self.number(f"readl {address:#x}")

    def readq(self, address):
        return self.number(f"readq {address:#x}")

    def writeb(self, address, value):
        self.command(f"writeb {address:#x} {value:#x}")

    def writew(self, address, value):
        self.command(f"writew {address:#x} {value:#x}")

    def writel(self, address, value):
        self.command(f"writel {address:#x} {value:#x}")

    def writeq(self, address, value):
        self.command(f"writeq {address:#x} {value:#x}")

    def read(self, address, size):
        return bytes.fromhex(self.command(f"read {address:#x} {size}")[2:])

    def write(self, address, data):
        self.command(f"write {address:#x} {len(data)} 0x{data.hex()}")

    def b64read(self, address, size):
        return base64.b64decode(self.command(f"b64read {address:#x} {size}"))

    def b64write(self, address, data):
        self.command(f"b64write {address:#x} {len(data)} {base64.b64encode(data).decode()}")

    def memset(self, address, size, value):
        self.command(f"memset {address:#x} {size} {value:#x}")

    def clock_step(self, ns=None):
        return self.number("clock_step" if ns is None else f"clock_step {ns}")

    def clock_set(self, ns):
        return self.number(f"clock_set {ns}")

    def intercept_in(self, device):
        self.command(f"irq_intercept_in {device}")

    @property
    def irqs(self):
        return dict(self.interrupts)

    # --- What many tests look at ---

    def cmos(self, registers=range(0x80)):
        """{register: value} of the configuration memory."""
        values = {}
        for register in registers:
            self.outb(0x70, register)
            values[register] = self.inb(0x71)
        return values

    def pci(self, device, function, register, size=4):
        self.outl(0xCF8, 0x80000000 | device << 11 | function << 8 | (register & 0xFC))
        return {1: self.inb, 2: self.inw, 4: self.inl}[size](0xCFC + (register & 3))

    def pci_write(self, device, function, register, value, size=4):
        self.outl(0xCF8, 0x80000000 | device << 11 | function << 8 | (register & 0xFC))
        {1: self.outb, 2: self.outw, 4: self.outl}[size](0xCFC + (register & 3), value)

    def fw_cfg(self, selector, size):
        self.outw(0x510, selector)
        return bytes(self.inb(0x511) for _ in range(size))

    def fw_cfg_files(self):
        """{name: (selector, size)}"""
        files = {}
        self.outw(0x510, 0x19)
        count = int.from_bytes(bytes(self.inb(0x511) for _ in range(4)), "big")
        for _ in range(count):
            entry = bytes(self.inb(0x511) for _ in range(64))
            name = entry[8:].split(b"\0")[0].decode()
            files[name] = (int.from_bytes(entry[4:6], "big"), int.from_bytes(entry[:4], "big"))
        return files

    def fw_cfg_file(self, name):
        """The file's bytes; None if there is none."""
        found = self.fw_cfg_files().get(name)
        return self.fw_cfg(*found) if found else None

    def wait_ata(self, base, mask, value):
        """Lets time go on until the alternate status is so; returns it."""
        control = dict(CHANNELS)[base]
        for _ in range(1000):
            status = self.inb(control)
            if status & mask == value:
                return status
            if self.steps:
                self.clock_step(1_000_000)
            else:
                time.sleep(0.005)
        raise QtestError(f"status {status:02x} of the channel at {base:x}, wanted {value:02x} under {mask:02x}")

    def select(self, position):
        """Selects a drive, 0 to 3; returns the channel's base port."""
        base = CHANNELS[position // 2][0]
        self.outb(base + 6, 0xA0 | (position % 2) << 4)
        return base

    def identify(self, position, packet=False):
        """The 256 words of IDENTIFY DEVICE (or IDENTIFY PACKET DEVICE); None if there is no such drive."""
        base = self.select(position)
        if self.inb(base + 7) in (0x00, 0xFF, 0x7F):
            # No drive, or one that has not set DRDY, as a packet device does not: its signature tells.
            if (self.inb(base + 4), self.inb(base + 5)) != (0x14, 0xEB):
                return None
        self.outb(base + 7, 0xA1 if packet else 0xEC)
        status = self.wait_ata(base, BUSY, 0)
        if status & ERR:
            return self.identify(position, True) if not packet and self.inb(base + 5) == 0xEB else None
        if not status & DRQ:
            return None
        words = [self.inw(base) for _ in range(256)]
        self.inb(base + 7)
        return words

    def read_sectors(self, position, lba, count=1):
        """READ SECTORS by LBA28."""
        base = self.select(position)
        for register, value in ((2, count), (3, lba), (4, lba >> 8), (5, lba >> 16)):
            self.outb(base + register, value & 0xFF)
        self.outb(base + 6, 0xE0 | (position % 2) << 4 | lba >> 24)
        self.outb(base + 7, 0x20)
        data = b""
        for _ in range(count):
            status = self.wait_ata(base, BUSY, 0)
            if status & ERR or not status & DRQ:
                raise QtestError(f"READ SECTORS: status {status:02x}, error {self.inb(base + 1):02x}")
            data += b"".join(self.inw(base).to_bytes(2, "little") for _ in range(256))
        return data

    def guest_view(self, cmos=range(0x10, 0x80)):
        """What firmware and guest see of the drives: CMOS bytes, IDENTIFY of all positions, fw_cfg's geometries."""
        return {"cmos": self.cmos(cmos),
                "identify": {name: self.identify(i) for i, name in enumerate(POSITIONS)},
                "bios-geometry": self.fw_cfg_file("bios-geometry")}


def backplane(program, folder, *arguments, subcommand="run", engine=True):
    """Starts our program on a board without CPU. `subcommand` and arguments may be anything that starts a machine;
    engine=False: they say themselves that there is no CPU, and where qtest is (unix:FOLDER/qtest)."""
    path = str(pathlib.Path(folder) / f"qtest-{time.monotonic_ns()}")
    command = [str(program), subcommand, *map(str, arguments)]
    if engine:
        command += ["--engine", "none", "--set", f"devices.qtest={{type: control.qtest, address: 'unix:{path}'}}"]
    else:
        command = [word.replace("{qtest}", path) for word in command]
    return Qtest(command, path, folder)


def qemu(folder, *arguments, machine="pc-i440fx-1.4"):
    """Starts the reference. Debian builds it without the accelerator `qtest`: its CPU stands still instead (-S), and with
    it the machine's time."""
    path = str(pathlib.Path(folder) / f"qemu-{time.monotonic_ns()}")
    command = [QEMU, "-M", machine, "-accel", "tcg", "-S", "-display", "none", "-qtest",
               f"unix:{path},server=on,wait=off", *map(str, arguments)]
    return Qtest(command, path, folder, steps=False)
