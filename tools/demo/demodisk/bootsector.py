"""The first megabyte of the disk: master boot record, partition table and GRUB's core image in the gap behind it."""

import struct

SECTOR = 512
HEADS = 255
SECTORS_PER_TRACK = 63
CYLINDER = HEADS * SECTORS_PER_TRACK  # sectors
PARTITION_START = 2048
TYPE_LINUX = 0x83

# GRUB 2.06, documented layout of boot.img: where it keeps what an installer fills in.
BOOT_KERNEL_SECTOR = 0x5C  # 64 bits: where core.img starts
BOOT_DRIVE = 0x64  # FFh: the drive that the BIOS booted from
BOOT_CODE_END = 0x1B8
DISK_SIGNATURE = 0x1B8
PARTITION_TABLE = 0x1BE
# The last entry of the list of blocks at the end of core.img's first sector: start (64 bits), sectors, segment.
CORE_BLOCK_LIST = SECTOR - 12
CORE_LOAD_SEGMENT = 0x820
CORE_SECTOR = 1


def chs(sector):
    """A sector's address as three bytes of a partition entry; past cylinder 1023 the largest one."""
    cylinder, rest = divmod(sector, CYLINDER)
    head, index = divmod(rest, SECTORS_PER_TRACK)
    if cylinder > 1023:
        cylinder, head, index = 1023, HEADS - 1, SECTORS_PER_TRACK - 1
    return bytes([head, (index + 1) | (cylinder >> 2 & 0xC0), cylinder & 0xFF])


def partition_entry(start, count, active=True, kind=TYPE_LINUX):
    first, last = chs(start), chs(start + count - 1)
    return bytes([0x80 if active else 0]) + first + bytes([kind]) + last + struct.pack("<II", start, count)


def master_boot_record(boot_image, disk_id, start, count):
    if len(boot_image) != SECTOR or boot_image[-2:] != b"\x55\xaa":
        raise ValueError("GRUB's boot.img is not a boot sector")
    sector = bytearray(boot_image)
    struct.pack_into("<Q", sector, BOOT_KERNEL_SECTOR, CORE_SECTOR)
    sector[BOOT_DRIVE] = 0xFF
    struct.pack_into("<I", sector, DISK_SIGNATURE, disk_id)
    sector[DISK_SIGNATURE + 4 : PARTITION_TABLE] = b"\0\0"
    sector[PARTITION_TABLE : SECTOR - 2] = partition_entry(start, count) + bytes(48)
    return bytes(sector)


def core_image(core):
    """GRUB's core image, told where the rest of itself stands on the disk."""
    sectors = -(-len(core) // SECTOR)
    if CORE_SECTOR + sectors > PARTITION_START:
        raise ValueError(f"GRUB's core image of {len(core)} bytes does not fit before the first partition")
    image = bytearray(core.ljust(sectors * SECTOR, b"\0"))
    struct.pack_into("<QHH", image, CORE_BLOCK_LIST, CORE_SECTOR + 1, sectors - 1, CORE_LOAD_SEGMENT)
    return bytes(image)
