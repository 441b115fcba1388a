"""The write storm of the guest `storm.asm`, for the tests of this folder: its disk, and what has to be on it afterwards."""

import pathlib
import re
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tools/python"))
import machine  # noqa: E402
from backplane_control import ConnectError, Control  # noqa: E402

SECTORS = 8192
PLACES = 4096


def place(number):
    return 1 + 37 * number % PLACES


def numbers(said):
    """What the guest says that it has flushed."""
    return [int(n, 16) for n in re.findall(rb"([0-9a-f]{8})\r?\n", said)]


class StormTest(machine.SystemTest):
    def image(self, image_format, folder=None):
        raw = self.disk("start.img", sectors=SECTORS, first=pathlib.Path(self.guest("storm")).read_bytes())
        path = str((folder or self.folder) / f"disk.{image_format}")
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", image_format, raw, path], check=True)
        return path

    def controlled_storm(self, path, options):
        """The guest, and a connection to its machine."""
        guest = self.piped("run", "--drive", f"file={path},{options}", "--serial", "stdio", "--log", "*=error",
                           "--control", f"unix:{self.folder}/socket")
        end = time.monotonic() + machine.PATIENCE
        while True:
            try:
                return guest, Control(f"unix:{self.folder}/socket", timeout=machine.PATIENCE)
            except ConnectError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def quit(self, guest, control):
        """Ends the machine; returns what the guest had flushed."""
        control.execute("quit")
        control.close()
        self.assertEqual(guest.finish(machine.PATIENCE), 0, guest.errors())
        return numbers(bytes(guest.transcript))

    def qemu_img(self, *arguments):
        """The requests of a program that was killed hold the file for some moments more. Ours waits for that; qemu-img does not."""
        end = time.monotonic() + machine.PATIENCE
        while True:
            done = subprocess.run(["qemu-img", *arguments], capture_output=True, text=True, check=False)
            if "Failed to lock" not in done.stderr or time.monotonic() > end:
                return done
            time.sleep(0.02)

    def check(self, path, image_format, flushed):
        """The image has no errors, and what was flushed, or something newer."""
        if image_format != "raw":
            self.run_program("disk", "info", path)
            done = self.qemu_img("check", "-f", image_format, path)
            self.assertIn(done.returncode, (0, 3), done.stdout + done.stderr)  # 3: leaked clusters, nothing worse
        flat = str(self.folder / "flat")
        done = self.qemu_img("convert", "-f", image_format, "-O", "raw", path, flat)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(flat, "rb") as file:
            for number in range(max(1, flushed - PLACES + 1), flushed + 1):
                file.seek(place(number) * 512)
                words = struct.unpack("<128I", file.read(512))
                found = words[0]
                self.assertEqual(words, (found,) * 128, f"sector {place(number)} is torn")
                self.assertGreaterEqual(found, number, f"sector {place(number)}: {number} was flushed ({flushed} the last)")
                self.assertEqual(place(found), place(number))
