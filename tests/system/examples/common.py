"""What the tests of the examples share."""

import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common"))

from machine import PATIENCE, ROOT, SessionError, SystemTest, main  # noqa: E402,F401
from session import PROMPT  # noqa: E402,F401


class ExampleTest(SystemTest):
    """`example` names the folder below examples/."""

    example = ""

    @property
    def sources(self):
        return ROOT / "examples" / self.example

    @property
    def plugin(self):
        return pathlib.Path(self.extra.examples).resolve() / self.example / f"{self.example}.so"

    @property
    def environment(self):
        """Where the program finds the example's plugin, and nothing else that is not its own."""
        return {**os.environ, "BACKPLANE_PLUGIN_PATH": str(self.plugin.parent)}

    def assemble(self):
        image = self.folder / "guest.img"
        subprocess.run(["nasm", "-f", "bin", "-o", image, self.sources / "guest.asm"], check=True)
        os.truncate(image, 1 << 20)
        return str(image)


def run(program, demo=False):
    """Exit status 77 if `program` is not installed, or if there is no demo disk although the test needs one."""
    if not shutil.which(program):
        print(f"skipped: {program} is not installed")
        sys.exit(77)
    if demo and not os.path.exists(dict(zip(sys.argv, sys.argv[1:])).get("--demo", "")):
        print("skipped: there is no demo disk (./dev disk)")
        sys.exit(77)
    main(needs_guests=False, examples="where the examples were built", demo="the demo disk")
