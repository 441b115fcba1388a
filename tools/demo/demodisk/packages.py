"""Fetches Debian packages of a foreign architecture into a folder and unpacks them.

The host's apt keeps its configuration, lists and architectures: apt runs here on a state of its own."""

import os
import pathlib
import re
import subprocess
import time

ARCHITECTURE = "i386"
FALLBACK_SUITE = "bookworm"
FALLBACK_SOURCE = (
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian {suite} main\n"
)
UPDATE_ATTEMPTS = 3
DOWNLOAD_ATTEMPTS = 3


class PackageError(Exception):
    """What could not be fetched, in words for the user."""


def file_name_part(text):
    return re.sub(r"[^A-Za-z0-9.+_-]", "_", text)


class Apt:
    """apt on private lists. `own_sources`: do not read the host's list of mirrors but name Debian's."""

    def __init__(self, folder, own_sources=False):
        self.folder = pathlib.Path(folder).resolve()
        for sub in ("state/lists/partial", "cache/archives/partial"):
            (self.folder / sub).mkdir(parents=True, exist_ok=True)
        options = {
            "Dir::State": self.folder / "state",
            "Dir::State::Lists": self.folder / "state/lists",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": self.folder / "cache",
            "APT::Architecture": ARCHITECTURE,
            "APT::Architectures": ARCHITECTURE,
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        if os.geteuid() == 0:  # the user _apt may not enter our folder
            options["APT::Sandbox::User"] = "root"
        if own_sources:
            source = self.folder / "debian.list"
            source.write_text(FALLBACK_SOURCE.format(suite=FALLBACK_SUITE))
            options["Dir::Etc::sourcelist"] = source
            options["Dir::Etc::sourceparts"] = "-"
        self.options = [text for name, value in options.items() for text in ("-o", f"{name}={value}")]

    def run(self, tool, *arguments, cwd=None):
        command = [tool, *self.options, *arguments]
        environment = dict(os.environ, LC_ALL="C", DEBIAN_FRONTEND="noninteractive")
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)

    def update(self, wanted):
        """Reads the mirrors' lists. One list that fails does not matter as long as all that is wanted is known."""
        for attempt in range(UPDATE_ATTEMPTS):
            result = self.run("apt-get", "update")
            complete = result.returncode == 0
            if complete or all(self.versions(name) for name in wanted):
                return
            if attempt + 1 < UPDATE_ATTEMPTS:
                time.sleep(2 + 3 * attempt)

    def versions(self, name):
        """The versions on offer, the best one first."""
        found = []
        for line in self.run("apt-cache", "madison", name).stdout.splitlines():
            parts = [part.strip() for part in line.split("|")]
            if len(parts) == 3 and parts[0] == name and parts[1] not in found:
                found.append(parts[1])
        return found

    def dependency(self, name, pattern):
        """The first dependency of a package whose name matches."""
        for line in self.run("apt-cache", "depends", name).stdout.splitlines():
            match = re.match(r"\s*\|?Depends: (\S+)", line)
            if match and re.fullmatch(pattern, match.group(1)):
                return match.group(1)
        return None

    def download(self, name, into):
        """Fetches a package, the newest version that a mirror really hands out. Returns its path and version."""
        errors = []
        for version in self.versions(name):
            target = into / f"{file_name_part(name)}_{file_name_part(version)}_{ARCHITECTURE}.deb"
            if target.exists():
                return target, version
            staging = into / "partial"
            staging.mkdir(parents=True, exist_ok=True)
            for attempt in range(DOWNLOAD_ATTEMPTS):
                for old in staging.glob("*.deb"):
                    old.unlink()
                result = self.run("apt-get", "download", f"{name}={version}", cwd=staging)
                fetched = list(staging.glob("*.deb"))
                if result.returncode == 0 and len(fetched) == 1:
                    fetched[0].replace(target)
                    return target, version
                errors.append(result.stderr.strip())
                time.sleep(1 + attempt)
        reason = errors[-1] if errors else "no configured mirror offers it"
        raise PackageError(f"package {name} ({ARCHITECTURE}): {reason}")


def fetch(names, folder, say):
    """Fetches packages; a name `meta:pattern` means the dependency of `meta` that matches. Returns {name: (path, version)}."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    problem = None
    for own_sources in (False, True):
        apt = Apt(folder / ("apt-debian" if own_sources else "apt-host"), own_sources)
        say("reading Debian's package lists" + (" from deb.debian.org" if own_sources else ""))
        apt.update([name.partition(":")[0] for name in names])
        try:
            result = {}
            for name in names:
                package, _, pattern = name.partition(":")
                real = apt.dependency(package, pattern) if pattern else package
                if real is None:
                    raise PackageError(f"package {package} ({ARCHITECTURE}): no configured mirror offers it")
                say(f"fetching {real}:{ARCHITECTURE}")
                result[name] = apt.download(real, folder)
            return result
        except PackageError as error:
            problem = problem or error
    raise problem


def unpack(package, folder):
    """Unpacks a package, running none of its scripts."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
