"""What the tests of our guest with several processors share (tests/guests/kernel/smp.asm)."""

import json
import subprocess

from machine import PATIENCE, SystemTest

ALL_WELL = 33  # 10h, as the debug exit device gives it
LAST = rb"done [0-9a-f]{8}\n"


def expected(count, *more):
    """What the guest says on a machine with so many processors that works. `more`: lines of one of its variants."""
    others = count - 1
    ids = (1 << count) - 2
    lines = [("others", others), ("alive", others), ("ids", ids), ("cpuid", others), ("bsp", 0), ("counted", 10000 * count),
             ("within", 1000 * count), *more, ("alive", others), ("ids", ids), ("bsp", 0), ("answers", 100 * others),
             ("first", 0x1111 * others), ("second", 0x2222 * others), ("patched", 210 * others), ("under", others),
             ("nmi", others), ("logical", min(others, 2)), ("lowest", 1), ("elsewhere", 0), ("done", others)]
    return "".join(f"{name} {value:08x}\n" for name, value in lines)


class SmpTest(SystemTest):
    maxDiff = None

    def options(self, count, guest="smp"):
        return ("--smp", count, "--memory", "32M", "--kernel", self.guest(guest), "--serial", "stdio", "--log",
                "*=error", "--set", "devices.exit={type: debug.exit, at: 0xf4}")

    def control(self, socket, *words):
        return json.loads(subprocess.run(self.command("ctl", "--control", socket, *words), capture_output=True, timeout=PATIENCE,
                                         check=True, text=True).stdout)
