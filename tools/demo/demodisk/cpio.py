"""Writes the `newc` cpio archive that Linux takes as its initial RAM file system."""


class Archive:
    def __init__(self):
        self.parts = []
        self.size = 0
        self.inode = 0

    def _put(self, data, align):
        data += b"\0" * (-(self.size + len(data)) % align)
        self.parts.append(data)
        self.size += len(data)

    def add(self, name, mode, data=b"", device=(0, 0)):
        self.inode += 1
        path = name.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, device[0], device[1], len(path), 0]
        self._put(b"070701" + b"".join(b"%08X" % field for field in fields) + path, 4)
        self._put(data, 4)

    def folder(self, name):
        self.add(name, 0o040755)

    def file(self, name, data, executable=False):
        self.add(name, 0o100755 if executable else 0o100644, data)

    def link(self, name, target):
        self.add(name, 0o120777, target.encode())

    def character_device(self, name, major, minor):
        self.add(name, 0o020600, device=(major, minor))

    def finish(self):
        self.inode = -1
        self.add("TRAILER!!!", 0)
        self._put(b"", 512)
        return b"".join(self.parts)
