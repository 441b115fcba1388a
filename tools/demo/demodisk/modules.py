"""Finds the kernel modules that drivers need, in the order to load them."""

import pathlib
import re
import subprocess


def index(modules_folder, release):
    """Runs depmod on an unpacked kernel. `modules_folder` holds lib/modules/RELEASE."""
    subprocess.run(["depmod", "-b", str(modules_folder), release], check=True)


def plain(name):
    return pathlib.PurePath(name).name.split(".ko")[0].replace("-", "_")


class ModuleTree:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.path = {}
        self.needs = {}
        for line in (self.folder / "modules.dep").read_text().splitlines():
            path, _, rest = line.partition(":")
            self.path[plain(path)] = path
            self.needs[plain(path)] = [plain(name) for name in rest.split()]
        self.before = {}
        for line in (self.folder / "modules.softdep").read_text().splitlines():
            match = re.match(r"softdep (\S+) .*?pre: ([^:]*?)(?= post:|$)", line)
            if match:
                self.before[plain(match.group(1))] = match.group(2).split()
        self.aliases = {}
        for line in (self.folder / "modules.alias").read_text().splitlines():
            word = line.split()
            if len(word) == 3 and word[0] == "alias":
                self.aliases.setdefault(word[1], []).append(plain(word[2]))
        self.builtin = {plain(line) for line in (self.folder / "modules.builtin").read_text().splitlines()}

    def provider(self, name):
        """A name may be a module or an alias; of several providers the portable one does."""
        if plain(name) in self.path:
            return plain(name)
        offers = self.aliases.get(name, [])
        portable = [offer for offer in offers if offer.endswith("_generic")]
        return (portable or offers or [None])[0]

    def load_order(self, wanted):
        """Paths below the folder, dependencies first."""
        order = []

        def add(name, stack):
            if name in stack or name in order:
                return
            for soft in self.before.get(name, []):
                found = self.provider(soft)
                if found:
                    add(found, stack + [name])
            for needed in reversed(self.needs[name]):  # depmod lists the deepest dependency last
                add(needed, stack + [name])
            order.append(name)

        for name in wanted:
            if plain(name) in self.builtin:
                continue
            if plain(name) not in self.path:
                raise KeyError(f"this kernel has no module {name}")
            add(plain(name), [])
        return [self.path[name] for name in order]
