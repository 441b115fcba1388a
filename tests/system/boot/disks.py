"""Disks of the worked table with a boot chain that reads them as that of Windows NT does, the ways to attach a disk, and the two
machines that they are attached to."""

import importlib.machinery
import importlib.util
import os
import pathlib
import re
import struct
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
POSITIONS = ("hda", "hdb", "hdc", "hdd")
SECTORS = 16  # that the boot sector reads
GEOMETRY = re.compile(rb"PCHS=(\d+/\d+/\d+) translation=([\w-]+) LCHS=(\d+/\d+/\d+)")


def worked_table():
    """The rows of the test `geometry`."""
    path = str(HERE.parent / "geometry/check")
    loader = importlib.machinery.SourceFileLoader("geometry_check", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module.ROWS


def chs_to_lba(chs, heads, sectors):
    cylinder, head, sector = chs
    return (cylinder * heads + head) * sectors + sector - 1


def lba_to_chs(lba, heads, sectors):
    track, sector = divmod(lba, sectors)
    cylinder, head = divmod(track, heads)
    return cylinder, head, sector + 1


def numbers(text):
    return tuple(int(part) for part in text.split("/"))


def loader_place(sectors, logical):
    """Where sixteen sectors lie that cross a head boundary, two thirds into what CHS addresses reach; behind head 15 if there
    are more heads."""
    cylinders, heads, per_track = logical
    reach = min(cylinders, sectors // (heads * per_track))
    head = min(heads - 1, 16) if heads > 1 else 0
    place = ((reach * 2 // 3) * heads + head) * per_track - SECTORS // 2
    return place if place + SECTORS < sectors else head * per_track - SECTORS // 2


def reads_right(place, written, shown):
    """Whether a boot sector that was written for one logical geometry gets its sectors under another."""
    lba = place
    while lba < place + SECTORS:
        chs = lba_to_chs(lba, written[1], written[2])
        if chs[0] >= shown[0] or chs[1] >= shown[1] or chs[2] > shown[2]:
            return False
        if chs_to_lba(chs, shown[1], shown[2]) != lba:
            return False
        lba += 1
    return True


def write_chain(path, sectors, first, logical, guests):
    """A sparse image with the partition table `first` and the boot chain for this logical geometry. Returns the loader's place."""
    cylinders, heads, per_track = logical
    mbr = bytearray((guests / "nt-mbr.bin").read_bytes())
    volume = bytearray((guests / "nt-volume.bin").read_bytes())
    loader = bytearray((guests / "nt-loader.bin").read_bytes()).ljust(512, b"\0")
    start = per_track  # head 1, sector 1
    if first:
        mbr[0x1BE:0x1FE] = first[0x1BE:0x1FE]
        if any(first[0x1BE:0x1FE]):
            mbr[0x1BE] = 0x80
            mbr[0x1BF:0x1C2] = bytes((1, 1, 0))
            struct.pack_into("<I", mbr, 0x1C6, start)
    place = loader_place(sectors, logical)
    struct.pack_into("<HH", volume, 0x18, per_track, heads)
    struct.pack_into("<I", volume, 0x1C, start)
    struct.pack_into("<I", volume, 0x1F0, place - start)
    last = min(sectors, 1 << 32) - SECTORS
    struct.pack_into("<Q", loader, 0x1E8, last)
    with open(path, "wb") as image:
        image.truncate(sectors * 512)
        for lba in [*range(place, place + SECTORS), *range(last, last + SECTORS)]:
            data = bytearray(loader if lba == place else 512)
            struct.pack_into("<II", data, 0x1F8, lba, ~lba & 0xFFFFFFFF)
            image.seek(lba * 512)
            image.write(data)
        image.seek(start * 512)
        image.write(volume)
        image.seek(0)
        image.write(mbr)
    return place


def geometry_keys(explicit, separate):
    """Explicit geometry as keys of --drive, or of --device."""
    keys = ""
    if "chs" in explicit:
        keys += ",cyls=%s,heads=%s,secs=%s" % tuple(explicit["chs"].split("/"))
    if "translation" in explicit:
        keys += (",bios-chs-trans=" if separate else ",trans=") + explicit["translation"]
    return keys


def inline(path, position, explicit, dash="--"):
    if explicit:
        return [dash + "drive", f"file={path},format=raw,index={position}{geometry_keys(explicit, False)}"]
    return [dash + POSITIONS[position], path]


def by_index(path, position, explicit, dash="--"):
    return [dash + "drive", f"file={path},format=raw,if=ide,media=disk,index={position}{geometry_keys(explicit, False)}"]


def by_place(path, position, explicit, dash="--"):
    return [dash + "drive", f"if=ide,bus={position // 2},unit={position % 2},file={path}{geometry_keys(explicit, False)}"]


def boot_on(path, position, explicit, dash="--"):
    return [dash + "drive", f"file={path},format=raw,index={position},boot=on{geometry_keys(explicit, False)}"]


def separate(path, position, explicit, dash="--"):
    return [dash + "drive", f"file={path},format=raw,if=none,id=d{position}",
            dash + "device", f"ide-hd,drive=d{position},bus=ide.{position // 2},unit={position % 2}{geometry_keys(explicit, True)}"]


def separate_boot_on(path, position, explicit, dash="--"):
    return [dash + "drive", f"file={path},format=raw,if=none,id=drive-ide0-{position},boot=on{geometry_keys(explicit, False)}",
            dash + "device", f"ide-drive,drive=drive-ide0-{position},bus=ide.{position // 2},unit={position % 2},id=ide0-{position}"]


def vm_file(path, position, explicit, dash="--"):
    """Written beside the image."""
    lines = ["machine: pc-0.12", "drives:", f"  {POSITIONS[position]}:", f"    file: {path}", "    format: raw"]
    if explicit:
        lines.append("    geometry:")
        if "chs" in explicit:
            lines += [f"      {k}: {v}" for k, v in zip(("cylinders", "heads", "sectors"), explicit["chs"].split("/"))]
        if "translation" in explicit:
            lines.append(f"      translation: {explicit['translation']}")
    name = path + ".yaml"
    pathlib.Path(name).write_text("\n".join(lines) + "\n")
    return [name]


WAYS = {"inline": inline, "index": by_index, "place": by_place, "boot=on": boot_on, "device": separate,
        "device, boot=on": separate_boot_on, "VM file": vm_file}


def qemu_command(qemu, firmware, log):
    return [qemu, "-M", "pc-i440fx-1.4", "-bios", firmware, "-nodefaults", "-vga", "std", "-display", "none", "-m", "128", "-no-reboot", "-net", "none",
            "-chardev", f"file,id=log,path={log}", "-device", "isa-debugcon,iobase=0x402,chardev=log"]


def backplane_command(backplane, firmware, log):
    return [backplane, "run", "--firmware", firmware, "--display", "none", "--serial", "none", "--no-reboot", "--debugcon", f"file:{log}"]


def run(command, log, patience=60):
    """Runs a machine to its end. Returns the lines of the boot chain and the firmware's geometries."""
    if os.path.exists(log):
        os.remove(log)
    started = time.monotonic()
    with open(log + ".out", "wb") as out:
        machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        text = b""
        while machine.poll() is None and time.monotonic() - started < patience and b"No bootable device" not in text:
            time.sleep(0.02)
            if os.path.exists(log):
                text = pathlib.Path(log).read_bytes()
    finally:
        if machine.poll() is None:
            machine.terminate()
            try:
                machine.wait(10)
            except subprocess.TimeoutExpired:
                machine.kill()
                machine.wait()
    text = pathlib.Path(log).read_bytes() if os.path.exists(log) else b""
    lines = [line.strip().decode(errors="replace") for line in text.splitlines() if line.startswith(b"NT: ")]
    geometries = [" ".join(part.decode() for part in found.groups()) for found in GEOMETRY.finditer(text)]
    if not lines:
        lines = ["nothing; the program said: " + pathlib.Path(log + ".out").read_text(errors="replace").strip()[-400:]]
    return lines, geometries
