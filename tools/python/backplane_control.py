"""Commands and watches a running Backplane machine over its control socket. Python's standard library only.

    from backplane_control import Control

    with Control("unix:vm.socket") as machine:            # backplane run ... --control unix:vm.socket
        print(machine.execute("query-status"))
        machine.execute("state-get", path="rtc.index")
        machine.execute("send-key", keys=["ctrl", "alt", "delete"], hold_time=100)   # the argument hold-time
        machine.wait_event("RESET", timeout=30)

docs/control.md lists the commands and events. Errors: CommandError when a command fails, ConnectError when the machine cannot
be reached, Disconnected when the connection ends, TimeoutError when something does not come in time; all but the last one
are ControlErrors."""

import collections
import json
import socket
import time


class ControlError(Exception):
    """Anything that goes wrong between us and the machine."""


class ConnectError(ControlError):
    """The machine cannot be reached, or refuses us."""


class Disconnected(ControlError):
    """The connection has ended: the machine is gone, or has dropped us."""


class CommandError(ControlError):
    """A command failed. `error_class` is GenericError, CommandNotFound or DeviceNotFound."""

    def __init__(self, error_class, text):
        super().__init__(text)
        self.error_class = error_class


class Control:
    """A connection to one machine. Not for use by several threads at once."""

    def __init__(self, address, timeout=60.0, connect=True):
        """`address`: "unix:PATH" or "tcp:HOST:PORT". `timeout`: seconds that an answer may take."""
        self.address = address
        self.timeout = timeout
        self.greeting = None
        self._socket = None
        self._pending = b""
        self._events = collections.deque()
        if connect:
            self.connect()

    def connect(self):
        """Connects and negotiates. Only needed after connect=False or close()."""
        kind, _, rest = self.address.partition(":")
        if kind == "unix" and rest:
            family, where = socket.AF_UNIX, rest
        elif kind == "tcp" and ":" in rest:
            host, _, port = rest.rpartition(":")
            family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
            where = (host.strip("[]"), int(port))
        else:
            raise ConnectError(f"expected unix:PATH or tcp:HOST:PORT, found {self.address!r}")
        self._pending = b""
        self._events.clear()
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.connect(where)
            self.greeting = self._line(self.timeout)
            if "error" in self.greeting:
                raise ConnectError(f"{self.address}: {self.greeting['error'].get('desc')}")
            if "QMP" not in self.greeting:
                raise ConnectError(f"{self.address}: this is no control socket")
            self.execute("qmp_capabilities")
        except (OSError, Disconnected) as error:
            self.close()
            raise ConnectError(f"{self.address}: {error}") from error
        except ConnectError:
            self.close()
            raise

    def close(self):
        """Ends the connection; the machine goes on."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def execute(self, command, arguments=None, timeout=None, **more):
        """Carries a command out and returns its value. Arguments as a dictionary, or by name with `_` for `-`."""
        request = {"execute": command}
        named = {name.replace("_", "-"): value for name, value in more.items()}
        if arguments or named:
            request["arguments"] = {**(arguments or {}), **named}
        self.send(json.dumps(request).encode() + b"\n")
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            answer = self._line(deadline - time.monotonic())
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise CommandError(answer["error"].get("class"), answer["error"].get("desc"))
            self._events.append(answer)

    def events(self, timeout=None):
        """Yields events, {"event", "data", "timestamp"}, until the connection ends or none comes for `timeout` seconds."""
        while True:
            try:
                yield self._event(None if timeout is None else time.monotonic() + timeout)
            except (Disconnected, TimeoutError):
                return

    def wait_event(self, name, timeout=None):
        """Waits for an event of this name and returns it. Others that come before it are dropped."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            event = self._event(deadline)
            if event["event"] == name:
                return event

    def send(self, data):
        """Sends bytes as they are."""
        if self._socket is None:
            raise Disconnected("not connected")
        try:
            self._socket.settimeout(self.timeout)
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what the machine said before may still be there to read

    def receive(self, timeout=None):
        """The next object that the machine sends, whatever it is."""
        return self._line(self.timeout if timeout is None else timeout)

    def _event(self, deadline):
        if self._events:
            return self._events.popleft()
        while True:
            line = self._line(None if deadline is None else deadline - time.monotonic())
            if "event" in line:
                return line

    def _line(self, timeout):
        deadline = None if timeout is None else time.monotonic() + timeout
        while b"\n" not in self._pending:
            if self._socket is None:
                raise Disconnected("not connected")
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError(f"{self.address}: nothing came in time")
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                data = b""
            except TimeoutError:
                raise TimeoutError(f"{self.address}: nothing came in time") from None
            if not data:
                raise Disconnected(f"{self.address}: the connection has ended")
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return json.loads(line)
