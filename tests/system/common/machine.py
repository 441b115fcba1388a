"""What the tests of whole machines share: the program under test on pipes or on a terminal of its own, and a frame for tests.

A test file imports it with

    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))
    from machine import SystemTest, main

and is run as `FILE --backplane PROGRAM [--guests FOLDER] [TEST ...]`. Exit status: 0 all as expected, 1 not, 77 something that
the tests need is not there."""

import argparse
import contextlib
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools/demo"))
sys.dont_write_bytecode = True

from session import Session, SessionError  # noqa: E402,F401

# A loaded host must not fail a test; a test that passes never waits this long.
PATIENCE = float(os.environ.get("PATIENCE", "60"))
BOOTED = rb"Booting from "
PATTERN = b"sector of a test"  # what the guests write to their disk


class Piped(Session):
    """The program on pipes; standard error goes to a file, which `errors()` reads."""

    def __init__(self, command, folder, **options):
        self.error_file = pathlib.Path(folder) / f"errors-{time.monotonic_ns()}"
        self.started, self.echo, self.pending, self.transcript = time.monotonic(), None, b"", b""
        with open(self.error_file, "wb") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, **options)

    def errors(self):
        return self.error_file.read_text(errors="replace")

    def signal(self, number):
        self.process.send_signal(number)

    def expect_error(self, pattern, timeout=PATIENCE):
        """Waits until standard error matches."""
        end = time.monotonic() + timeout
        while True:
            found = re.search(pattern, self.errors())
            if found:
                return found
            if time.monotonic() > end:
                raise SessionError(f"standard error shows nothing like {pattern!r} but:\n{self.errors()}")
            time.sleep(0.05)

    def close_streams(self):
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()

    def __exit__(self, *_):
        self.kill()
        self.close_streams()


class OnTerminal(Piped):
    """The program on a terminal of its own."""

    def __init__(self, command, folder):
        master, self.slave = pty.openpty()
        # A setting that nobody has by chance, to see whether it comes back.
        modes = termios.tcgetattr(self.slave)
        modes[6][termios.VKILL] = b"\x1e"
        termios.tcsetattr(self.slave, termios.TCSANOW, modes)
        self.before = self.modes()
        super().__init__(["sleep", "0"], folder)
        self.kill()
        self.close_streams()
        with open(self.error_file, "wb") as errors:
            self.process = subprocess.Popen(command, stdin=self.slave, stdout=self.slave, stderr=errors)
        self.process.stdin = os.fdopen(os.dup(master), "wb", 0)
        self.process.stdout = os.fdopen(master, "rb", 0)

    def modes(self):
        return termios.tcgetattr(self.slave)

    def is_raw(self):
        return not self.modes()[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def is_restored(self):
        return self.modes() == self.before

    def finish(self, timeout=PATIENCE):
        """Waits for the end; the terminal stays open, so its output has no end of its own."""
        end = time.monotonic() + timeout
        while self.process.poll() is None:
            self._read(0.05)
            if time.monotonic() > end:
                raise SessionError(f"the program did not end within {timeout} s")
        while self._read(0):
            pass
        return self.process.returncode

    def close_streams(self):
        super().close_streams()
        if self.slave >= 0 and self.process.stdout is not None and self.process.args[0] != "sleep":
            os.close(self.slave)
            self.slave = -1


class SystemTest(unittest.TestCase):
    backplane = ""
    guests = pathlib.Path()
    extra = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="backplane-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def guest(self, name):
        return str(self.guests / f"{name}.bin")

    def disk(self, name="disk.img", sectors=2048, first=b""):
        """A raw image whose first sector begins with `first`."""
        path = self.folder / name
        with open(path, "wb") as image:
            image.write(first)
            image.truncate(sectors * 512)
        return str(path)

    def boot_disk(self, guest, name="disk.img"):
        return self.disk(name, first=pathlib.Path(self.guest(guest)).read_bytes())

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def isa_vm(self, guest, name="vm.yaml"):
        """A VM on the board without PCI, whose firmware is one of our guests."""
        return self.file(name, f"machine: isapc\nfirmware: {self.guest(guest)}\nserial: stdio\n"
                               "devices:\n  exit: {type: debug.exit, at: 0xf4}\n")

    def command(self, *arguments):
        return [self.backplane, *map(str, arguments)]

    def piped(self, *arguments, **options):
        machine = Piped(self.command(*arguments), self.folder, **options)
        self.addCleanup(machine.__exit__)
        return machine

    def on_terminal(self, *arguments):
        machine = OnTerminal(self.command(*arguments), self.folder)
        self.addCleanup(machine.__exit__)
        return machine

    def run_program(self, *arguments, code=0, timeout=PATIENCE, **options):
        """Runs the program to its end and checks its exit code."""
        options = {"stdin": subprocess.DEVNULL, "cwd": ROOT, **options}
        done = subprocess.run(self.command(*arguments), capture_output=True, timeout=timeout, check=False, text=True,
                              errors="replace", **options)
        self.assertEqual(done.returncode, code, f"{' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
        return done

    def firmware_boots(self, *arguments):
        """Starts a machine with SeaBIOS; returns what the firmware said until it booted from something."""
        machine = Piped(self.command("run", *arguments, "--serial", "none", "--debugcon", "stdio", "--log", "*=error"),
                        self.folder)
        with machine:
            machine.expect(BOOTED, PATIENCE)
            said = machine.transcript[: len(machine.transcript) - len(machine.pending)]
            machine.signal(signal.SIGTERM)
            code = machine.finish(PATIENCE)
            self.assertEqual(code, 0, machine.errors())
            return said.decode(errors="replace")


def main(needs_guests=True, **more):
    """Runs the calling file's tests. `more`: further options of the command line, by name: help text."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__.split("\n")[0])
    parser.add_argument("--backplane", required=True, help="the program under test")
    parser.add_argument("--guests", type=pathlib.Path, default=pathlib.Path("build/release/guests"), help="our guests' images")
    for name, text in more.items():
        parser.add_argument(f"--{name}", default="", help=text)
    parser.add_argument("tests", nargs="*", help="CLASS or CLASS.TEST; all of them if none is named")
    options = parser.parse_args()
    SystemTest.backplane = os.path.abspath(options.backplane)
    SystemTest.guests = options.guests.resolve()
    SystemTest.extra = options
    os.environ["XDG_DATA_HOME"] = "/nonexistent"  # what the user keeps there is no part of the test
    os.chdir(ROOT)
    if needs_guests and not (SystemTest.guests / "console.bin").exists():
        print(f"skipped: no guests in {SystemTest.guests} (is nasm installed?)")
        sys.exit(77)
    unittest.main(module="__main__", argv=[sys.argv[0], "-v", *options.tests])
