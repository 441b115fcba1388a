"""Random operations on qcow2 images, by Backplane and by qemu-io, each read by the other and by itself."""

import os
import subprocess

KIB = 1024


class Failure(Exception):
    """A comparison that did not come out."""


def run(*command, text=None):
    done = subprocess.run([str(c) for c in command], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"{' '.join(str(c) for c in command[:6])}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


class Image:
    """An image, and what its disk and its snapshots have to be."""

    def __init__(self, tools, folder, rng, options, size, backing=None):
        self.tools, self.folder, self.rng = tools, folder, rng
        self.path = os.path.join(folder, "image.qcow2")
        self.cluster = int(dict(o.split("=") for o in options.split(",")).get("cluster_size", 65536))
        self.v2 = "compat=0.10" in options
        self.size = size
        self.backing = backing
        self.shadow = bytearray(size)
        self.snapshots = {}
        self.sequence = 0
        if os.path.exists(self.path):
            os.unlink(self.path)
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", options]
        if backing:
            with open(backing, "rb") as f:
                below = f.read()
            n = min(len(below), size)
            self.shadow[:n] = below[:n]
            command += ["-b", backing, "-F", "raw"]
        run(*command, self.path, str(size))
        bits = int(dict(o.split("=") for o in options.split(",")).get("refcount_bits", 16))
        self.most_snapshots = max(0, min(4, 2 ** bits - 3))  # the disk itself counts too, and a snapshot twice while it is applied

    def range(self, most):
        rng = self.rng
        if rng.random() < 0.2:  # whole clusters
            first = rng.randrange(self.size // self.cluster or 1) * self.cluster
            length = self.cluster * rng.randint(1, 3)
        else:
            first = rng.randrange(self.size // 512) * 512
            length = rng.randint(1, most // 512) * 512
        return first, max(512, min(length, self.size - first))

    def operations(self, count):
        """Yields (name, offset, length, byte) and keeps the shadow."""
        rng = self.rng
        for _ in range(count):
            kind = rng.choices(["write", "zero", "unmap", "discard", "flush"], [60, 6, 6, 12, 8])[0]
            if kind == "flush":
                yield kind, 0, 0, 0
                continue
            first, length = self.range(self.cluster * 3 if self.cluster <= 65536 else 200 * KIB)
            byte = rng.randint(1, 255) if kind == "write" else 0
            if kind == "discard":
                if self.v2 and self.backing:
                    continue
                # What is no whole cluster stays; the disk's last cluster is whole at its end.
                end = first + length
                first = -(-first // self.cluster) * self.cluster
                end = end if end == self.size else end // self.cluster * self.cluster
                if first >= end:
                    continue
                length = end - first
            self.shadow[first:first + length] = bytes([byte]) * length
            yield kind, first, length, byte

    # --- who does it ---

    def by_backplane(self, count):
        lines = [f"open {self.path} qcow2"]
        for kind, first, length, byte in self.operations(count):
            lines.append(f"{kind} {first} {length} {byte}")
            if kind == "write" and self.rng.random() < 0.1:
                at = first + self.rng.randrange(length // 512) * 512
                lines.append(f"verify {at} 512 {byte}")
        lines += ["close"]
        run(self.tools.script, text="\n".join(lines) + "\n")

    def by_threads(self, count):
        """Writes that do not overlap, but meet in clusters, from several threads."""
        pieces = self.rng.sample(range(self.size // 512), min(count, self.size // 512))
        lines = [f"open {self.path} qcow2", "threads 4"]
        for piece in pieces:
            byte = self.rng.randint(1, 255)
            self.shadow[piece * 512:piece * 512 + 512] = bytes([byte]) * 512
            lines.append(f"write {piece * 512} 512 {byte}")
        run(self.tools.script, text="\n".join(lines + ["join", "flush", "close"]) + "\n")

    def by_qemu(self, count):
        lines = []
        for kind, first, length, byte in self.operations(count):
            lines.append({"write": f"write -P {byte} {first} {length}", "zero": f"write -z {first} {length}",
                          "unmap": f"write -z -u {first} {length}", "discard": f"discard {first} {length}",
                          "flush": "flush"}[kind])
        out = run("qemu-io", "-t", "unsafe", "-f", "qcow2", "-d", "unmap", self.path, text="\n".join(lines) + "\n")
        if "failed" in out.lower() or "error" in out.lower():
            raise Failure("qemu-io: " + out[-1000:])

    # --- snapshots and size ---

    def command(self, ours, *words):
        if ours:
            run(self.tools.script, text=f"open {self.path} qcow2\n{' '.join(str(w) for w in words)}\nclose\n")
            return
        what, name = words[0], words[1]
        if what == "resize":
            shrink = ["--shrink"] if int(name) < self.size else []
            run("qemu-img", "resize", "-q", "-f", "qcow2", *shrink, self.path, str(name))
        else:
            run("qemu-img", "snapshot", {"snapshot": "-c", "apply": "-a", "delete": "-d"}[what], name, self.path)

    def change(self, ours):
        rng = self.rng
        what = rng.choice(["snapshot", "snapshot", "apply", "delete", "resize"])
        if what == "snapshot":
            if len(self.snapshots) >= self.most_snapshots:
                return
            self.sequence += 1
            name = f"s{self.sequence}x"
            self.command(ours, "snapshot", name)
            self.snapshots[name] = bytes(self.shadow)
        elif what == "resize":
            if self.snapshots or self.v2:  # other programs differ in what a snapshot of another size becomes
                return
            size = max(64 * KIB, self.size + rng.randint(-200, 300) * 512)
            if size == self.size:
                return
            self.command(ours, "resize", size)
            if size < self.size:
                del self.shadow[size:]
            else:
                self.shadow += bytes(size - self.size)
            self.size = size
        elif self.snapshots:
            name = rng.choice(sorted(self.snapshots))
            self.command(ours, what, name)
            if what == "apply":
                self.shadow = bytearray(self.snapshots[name])
                self.size = len(self.shadow)
            else:
                del self.snapshots[name]

    # --- what it has to be ---

    def compare(self, ours):
        check = subprocess.run(["qemu-img", "check", "-f", "qcow2", self.path], capture_output=True, text=True, check=False)
        if check.returncode not in (0,):
            raise Failure(f"qemu-img check: {check.returncode}\n{check.stdout[-2000:]}{check.stderr[-1000:]}")
        raw = os.path.join(self.folder, "dump.raw")
        if ours:
            run(self.tools.script, text=f"open {self.path} qcow2\ndump {raw}\nclose\n")
        else:
            run("qemu-img", "convert", "-t", "unsafe", "-f", "qcow2", "-O", "raw", self.path, raw)
        with open(raw, "rb") as f:
            found = f.read()
        if found != self.shadow:
            at = next((i for i, (a, b) in enumerate(zip(found, self.shadow)) if a != b), min(len(found), len(self.shadow)))
            raise Failure(f"the disk differs at {at}: {found[at:at + 8].hex()} instead of {self.shadow[at:at + 8].hex()}; "
                          f"{len(found)} bytes, {len(self.shadow)} expected; read by {'backplane' if ours else 'qemu-img'}")
