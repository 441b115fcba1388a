"""Machines with a control socket, for the tests of this folder."""

import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tools/python"))

from backplane_control import ConnectError, Control  # noqa: E402
from machine import PATIENCE, SystemTest  # noqa: E402


class ControlTest(SystemTest):
    @property
    def socket(self):
        return str(self.folder / "socket")

    @property
    def address(self):
        return f"unix:{self.socket}"

    def start(self, *arguments, guest="console", address=None):
        """A machine whose firmware waits for characters on its serial port."""
        machine = self.piped("run", self.isa_vm(guest), "--control", address or self.address, *arguments)
        if guest == "console":
            machine.expect(rb"console\r?\n", PATIENCE)
        return machine

    def connect(self, address=None):
        """Waits until the machine has made its socket."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                client = Control(address or self.address, timeout=PATIENCE)
                self.addCleanup(client.close)
                return client
            except ConnectError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def controlled(self, *arguments):
        machine = self.start(*arguments)
        return machine, self.connect()
