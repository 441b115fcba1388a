"""New builds of a plugin, from a changed copy of its sources."""

import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]


def rebuild(plugin, target, changes=()):
    """Builds plugins/PLUGIN into the file `target`, with changes (file, old text, new text) made to a copy of its sources."""
    folder = pathlib.Path(str(target) + ".sources")
    shutil.copytree(ROOT / "plugins" / plugin, folder)
    for name, old, new in changes:
        source = folder / name
        text = source.read_text()
        assert old in text, f"{name} has no {old!r}"
        source.write_text(text.replace(old, new))
    sources = [str(s) for s in sorted(folder.glob("*.cpp")) if not s.name.startswith("test")]
    subprocess.run([os.environ.get("CXX", "g++"), "-std=c++20", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-gnu-unique",
                    f"-I{ROOT / 'sdk/include'}", f"-I{folder}", *sources, "-o", str(target) + ".new"], check=True)
    os.rename(str(target) + ".new", target)
    return str(target)
