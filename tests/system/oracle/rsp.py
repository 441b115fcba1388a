"""A client of the gdb remote protocol, enough of it to hold two emulators against each other."""

import re
import socket
import time

SHORT = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip")


class Stub:
    def __init__(self, path, patience):
        self.patience = patience
        end = time.monotonic() + patience
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        self.socket.settimeout(patience)
        self.heard = b""
        self.ask("qSupported:swbreak+;hwbreak+;qXfer:features:read+")
        self.layout = list(self._layout("target.xml", [0]))

    def close(self):
        self.socket.close()

    def _byte(self):
        if not self.heard:
            self.heard = self.socket.recv(65536)
            if not self.heard:
                raise ConnectionError("the emulator has closed the connection")
        first, self.heard = self.heard[:1], self.heard[1:]
        return first

    def _packet(self):
        while self._byte() != b"$":
            pass
        text = b""
        while (byte := self._byte()) != b"#":
            text += bytes([self._byte()[0] ^ 0x20]) if byte == b"}" else byte
        self._byte(), self._byte()
        self.socket.sendall(b"+")
        return text

    def ask(self, text):
        data = text.encode()
        self.socket.sendall(b"$%s#%02x" % (data, sum(data) & 255))
        return self._packet()

    def command(self, text):
        answer = self.ask(text)
        if answer != b"OK":
            raise ValueError(f"{text}: {answer!r}")

    def _document(self, name):
        text = b""
        while True:
            part = self.ask(f"qXfer:features:read:{name}:{len(text):x},3fb")
            text += part[1:]
            if part[:1] != b"m":
                return text

    def _layout(self, name, number):
        """(number, name, bytes) of each register, as the description orders them."""
        # Not by an XML parser: QEMU does not say what its prefix xi means.
        document = re.sub(r"<!--.*?-->", "", self._document(name).decode(), flags=re.S)
        for tag, text in re.findall(r"<(xi:include|reg)\s([^>]*)>", document):
            attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', text))
            if tag == "xi:include":
                yield from self._layout(attributes["href"], number)
            else:
                number[0] = int(attributes.get("regnum", number[0]))
                yield number[0], attributes["name"], int(attributes["bitsize"]) // 8
                number[0] += 1

    def registers(self):
        """Values by name, those of 32 bits under the name of the whole register. One that is not given is left out."""
        data = self.ask("g")
        values, at = {}, 0
        for number, name, size in sorted(self.layout):
            text = data[2 * at: 2 * (at + size)]
            at += size
            if len(text) < 2 * size:
                text = self.ask(f"p{number:x}")
            if len(text) == 2 * size and b"x" not in text:
                name = name.replace("e", "r", 1) if name in SHORT else name
                values[name] = int.from_bytes(bytes.fromhex(text.decode()), "little")
        return values

    def memory(self, address, size):
        data = b""
        while len(data) < size:
            part = self.ask(f"m{address + len(data):x},{min(size - len(data), 0x400):x}")
            if part[:1] == b"E" and len(part) == 3:
                raise ValueError(f"memory at {address + len(data):x}: {part.decode()}")
            data += bytes.fromhex(part.decode())
        return data

    def run_to(self, address):
        """Sets a breakpoint, lets the machine run, and takes it away where it stopped; the answer of the stop."""
        self.command(f"Z0,{address:x},1")
        stop = self.ask("c")
        self.command(f"z0,{address:x},1")
        return stop
