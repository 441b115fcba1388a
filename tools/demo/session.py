#!/usr/bin/env python3
"""Drives the demo machine's shell over its serial line, without a terminal.

session.py [--state FILE] -- COMMAND...   runs COMMAND, whose input and output are the guest's serial line, waits for the
shell, reads a file from the disk, writes one, powers off. With --state, the next run checks that the file is still there.
As a module: class Session, for tests and measurements."""

import argparse
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import time
import uuid

PROMPT = rb"backplane:[^\r\n]*# "
FAILURES = rb"Kernel panic - not syncing|initramfs# "
GREETING = "Greetings from the ext4 partition"
MARK_FILE = "/root/session"


class SessionError(Exception):
    pass


class Session:
    """A process whose standard input and output are a guest's serial line."""

    def __init__(self, command, echo=None):
        self.started = time.monotonic()
        self.echo = echo
        self.pending = b""
        self.transcript = b""
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def elapsed(self):
        return time.monotonic() - self.started

    def _read(self, timeout):
        """Some output, b"" at its end, None when there was none in time."""
        ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, timeout))
        if not ready:
            return None
        data = os.read(self.process.stdout.fileno(), 65536)
        if self.echo:
            self.echo.write(data)
            self.echo.flush()
        self.transcript += data
        return data

    def expect(self, pattern, timeout):
        """Waits until the output since the last match matches. Returns the match."""
        deadline = time.monotonic() + timeout
        while True:
            match = re.search(pattern, self.pending)
            if match:
                self.pending = self.pending[match.end() :]
                return match
            failure = re.search(FAILURES, self.pending)
            if failure:
                raise SessionError(f"the guest says: {failure.group().decode()}")
            data = self._read(deadline - time.monotonic())
            if data is None:
                raise SessionError(f"nothing like {pattern!r} within {timeout:.0f} s")
            if data == b"":
                raise SessionError(f"the machine ended (exit code {self.process.wait()}) before {pattern!r}")
            self.pending += data

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def shell(self, command, timeout=60):
        """Runs a command in the guest's shell. Returns what it printed."""
        end = uuid.uuid4().hex[:12]
        # The echo of the line shows the quotes, so that only the command's own output matches.
        self.send(f"{command}; echo '{end[:6]}''{end[6:]}' $?\n")
        self.expect(rb"\r?\n", timeout)
        start = len(self.transcript) - len(self.pending)
        match = self.expect(end.encode() + rb" (\d+)\r?\n", timeout)
        output = self.transcript[start:].split(end.encode())[0].decode(errors="replace").replace("\r\n", "\n")
        self.expect(PROMPT, timeout)
        if match.group(1) != b"0":
            raise SessionError(f"in the guest, `{command}` failed: {output.strip()}")
        return output

    def finish(self, timeout):
        """Waits for the process to end by itself. Returns its exit code."""
        deadline = time.monotonic() + timeout
        while (data := self._read(deadline - time.monotonic())) != b"":
            if data is None:
                raise SessionError(f"the machine still runs {timeout:.0f} s after it was told to power off")
        try:
            return self.process.wait(max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise SessionError("the machine closed its serial line but did not end") from None

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def scripted(session, state, boot_timeout):
    """The session of `./dev run </dev/null`. Returns the lines of its report."""
    session.expect(PROMPT, boot_timeout)
    report = [f"the shell's prompt came after {session.elapsed():.1f} s"]
    if GREETING not in session.shell("cat /etc/greeting"):
        raise SessionError("/etc/greeting does not hold its text")
    report.append("a file was read from the ext4 on the IDE disk")
    if state and state.exists():
        mark = state.read_text().strip()
        if mark not in session.shell(f"cat {MARK_FILE}"):
            raise SessionError(f"{MARK_FILE} does not hold what the last session wrote ({mark})")
        report.append("what the last session wrote is still there")
    mark = uuid.uuid4().hex
    if state:
        state.unlink(missing_ok=True)
    session.shell(f"echo {mark} > {MARK_FILE}; sync")
    if mark not in session.shell(f"cat {MARK_FILE}"):
        raise SessionError(f"{MARK_FILE} does not hold what was just written")
    report.append("a file was written and synced")
    session.send("poweroff\n")
    code = session.finish(60)
    if code != 0:
        raise SessionError(f"power off ended the machine with exit code {code}")
    if state:
        state.write_text(mark + "\n")
    report.append("power off ended the machine")
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=pathlib.Path, help="what the last session on this disk wrote")
    parser.add_argument("--boot-timeout", type=float, default=300, metavar="SECONDS")
    parser.add_argument("--quiet", action="store_true", help="do not copy the serial line to standard output")
    parser.add_argument("command", nargs="+", help="the machine")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Session(options.command, None if options.quiet else sys.stdout.buffer) as session:
        try:
            report = scripted(session, options.state, options.boot_timeout)
        except (SessionError, BrokenPipeError) as error:
            if options.quiet:
                sys.stderr.write(session.transcript[-4000:].decode(errors="replace"))
            print(f"\nsession: {error}", file=sys.stderr)
            return 1
    print("\n" + "\n".join(f"session: {line}" for line in report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
