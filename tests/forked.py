"""Worker processes as the tests hold them: children of this process, started by `tests.fork_server`."""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # of Linux: orphans below this process become its children
_INHERITED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class ForkedProcess:
    """What the tests need of `subprocess.Popen`, for a process that is a child of ours but not by Popen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._descriptor = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """The exit code, or minus the signal that ended it; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
                os.close(self._descriptor)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        if self.returncode is None and not select.select([self._descriptor], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("a forked worker", timeout or 0.0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing happens if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _ForkServer:
    """The process that forks, and the way to it."""

    def __init__(self) -> None:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            command = [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, cwd=Path(__file__).parents[1], stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip

    def fork(self, arguments: tuple[str, ...], environment: Mapping[str, str], log: Path) -> int:
        """The id of a process that runs ``celery`` with these arguments."""
        order = {
            "arguments": arguments, "environment": dict(environment), "log": str(log),
            "directory": os.getcwd(),
            "ignored": [number for number in _INHERITED if signal.getsignal(number) == signal.SIG_IGN],
        }  # fmt: skip
        with self._lock:
            self._orders.send(json.dumps(order).encode())
            answer = self._orders.recv(32)
        assert answer, "the fork server has ended"
        return int(answer)

    def close(self) -> None:
        self._orders.close()
        self._process.wait()


@cache
def _server() -> _ForkServer:
    server = _ForkServer()
    atexit.register(server.close)
    return server


def celery(*arguments: str, environment: Mapping[str, str], log: Path) -> ForkedProcess:
    """A process that runs ``celery`` with these arguments, in a session of its own."""
    return ForkedProcess(_server().fork(arguments, environment, log))
