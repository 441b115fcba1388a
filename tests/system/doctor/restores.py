"""Disks restored piece by piece, as people do it after a crash: the table with sfdisk, the file system with mkfs.ntfs or mkfs.fat,
the boot code with install-mbr, the files from an archive. All images are sparse."""

import os
import shutil
import struct
import subprocess

GIB = 1 << 30
MIB = 1 << 20
MESSAGE = "This is not a bootable disk"  # what the boot sectors of mkfs.ntfs and mkfs.fat print
PLACE = 700_000  # in a volume: where the NT boot chain finds its loader; beyond one cylinder of every geometry
LOADER_SECTORS = 16
os.environ["PATH"] += ":/usr/sbin:/sbin"
TOOLS = ("sfdisk", "mkfs.ntfs", "mkfs.fat", "install-mbr")


def missing_tools():
    return [tool for tool in TOOLS if not shutil.which(tool)]


def tool(*arguments, text=None):
    done = subprocess.run(list(map(str, arguments)), input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")
    return done.stdout


def copy_data(source, target, offset):
    """What a sparse file holds into another file at a byte offset."""
    with open(source, "rb") as src, open(target, "r+b") as dst:
        end, at = os.fstat(src.fileno()).st_size, 0
        while at < end:
            try:
                data = os.lseek(src.fileno(), at, os.SEEK_DATA)
            except OSError:
                return
            hole = os.lseek(src.fileno(), data, os.SEEK_HOLE)
            src.seek(data)
            while data < hole:
                piece = src.read(min(MIB, hole - data))
                dst.seek(offset + data)
                dst.write(piece)
                data += len(piece)
            at = hole


def packed_chs(lba, heads, sectors):
    track, sector = divmod(lba, sectors)
    cylinder, head = divmod(track, heads)
    if cylinder > 1023:
        cylinder, head, sector = 1023, heads - 1, sectors - 1
    return bytes((head, (sector + 1) | (cylinder >> 8) << 6, cylinder & 0xFF))


class Restore:
    """An image under construction."""

    def __init__(self, path, size=10 * GIB):
        self.path, self.size, self.partitions = str(path), size, []
        with open(self.path, "wb") as image:
            image.truncate(size)

    def read(self, sector, count=1):
        with open(self.path, "rb") as image:
            image.seek(sector * 512)
            return image.read(count * 512)

    def patch(self, sector, at, data):
        with open(self.path, "r+b") as image:
            image.seek(sector * 512 + at)
            image.write(data)

    def table(self, *partitions, active=1):
        """Each is (start, sectors, type). sfdisk writes the CHS addresses for 255 heads and 63 sectors."""
        self.partitions = partitions
        lines = ["label: dos"]
        for number, (start, sectors, kind) in enumerate(partitions, 1):
            lines.append(f"start={start}, size={sectors}, type={kind}" + (", bootable" if number == active else ""))
        tool("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", self.path, text="\n".join(lines) + "\n")
        return self

    def table_of_geometry(self, heads, sectors):
        """As a BIOS with this geometry would have written the CHS addresses."""
        for index, (start, count, _) in enumerate(self.partitions):
            self.patch(0, 0x1BE + 16 * index + 1, packed_chs(start, heads, sectors))
            self.patch(0, 0x1BE + 16 * index + 5, packed_chs(start + count - 1, heads, sectors))
        return self

    def mbr(self):
        tool("install-mbr", "--force", "--timeout", "0", self.path)
        return self

    def code(self, guests, name):
        """Boot code of ours into the first sector; the table stays."""
        self.patch(0, 0, (guests / f"{name}.bin").read_bytes()[:0x1B0])
        return self

    def volume(self, number, make):
        """Makes a file system in a file of the partition's size with make(file, start) and writes it into the partition."""
        start, sectors, _ = self.partitions[number - 1]
        part = self.path + ".part"
        with open(part, "wb") as image:
            image.truncate(sectors * 512)
        make(part, start)
        copy_data(part, self.path, start * 512)
        os.remove(part)
        return self

    def ntfs(self, number=1, heads=255, sectors=63, hidden=None):
        def make(part, start):
            arguments = ["-q", "-Q", "-F", "-s", "512", "-p", start if hidden is None else hidden]
            if heads is not None:
                arguments += ["-H", heads, "-S", sectors]
            tool("mkfs.ntfs", *arguments, part)
        return self.volume(number, make)

    def fat(self, number=1, bits=32, geometry="255/63", hidden=None):
        def make(part, start):
            tool("mkfs.fat", "-F", bits, "-g", geometry, "-h", start if hidden is None else hidden, part)
        return self.volume(number, make)

    def nt_chain(self, guests):
        """Boot code that works as that of Windows NT, in place of mkfs.ntfs's message; the parameter block stays. Its loader lies
        far into the first partition, where each sector holds its own number."""
        start = self.partitions[0][0]
        volume = bytearray((guests / "nt-volume.bin").read_bytes())
        volume[0x03:0x54] = self.read(start)[0x03:0x54]
        struct.pack_into("<I", volume, 0x1F0, PLACE)
        self.patch(start, 0, bytes(volume))
        loader = bytearray((guests / "nt-loader.bin").read_bytes()).ljust(512, b"\0")
        last = self.size // 512 - LOADER_SECTORS
        struct.pack_into("<Q", loader, 0x1E8, last)
        for lba in [*range(start + PLACE, start + PLACE + LOADER_SECTORS), *range(last, last + LOADER_SECTORS)]:
            data = bytearray(loader if lba == start + PLACE else 512)
            struct.pack_into("<II", data, 0x1F8, lba, ~lba & 0xFFFFFFFF)
            self.patch(lba, 0, bytes(data))
        return self.code(guests, "nt-mbr")
