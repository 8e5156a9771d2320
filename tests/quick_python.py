"""`python FILE` and `aigc`, started by forking a process that has imported already what they import.

Most of what a short command costs is the import of Celery, pydantic and redis: a page of the docs has twenty
commands. `commands` makes a folder with both names, for the front of a PATH. A fork has arguments, directory,
environment and the three standard streams of whoever called it, gets the signals that the caller gets, and
its exit code becomes the caller's. Other forms of `python` run the real one. `quick_aigc` is for tests of
what `aigc` does; those of how it starts, or that have to be its parent, run the real one.

Run as ``python -m tests.quick_python SOCKET`` it is the process that forks, until its standard input ends.
"""

from __future__ import annotations

import ast
import atexit
import gc
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tests.fork_server import PRELOADED
from worker.store.replies import CHECKS
from worker.store.sources import source

ROOT: Final = Path(__file__).parents[1]
OF_COMMANDS: Final = (
    "tasks", "tasks.results", "worker.cli", "rich.progress", "redis.asyncio",
    "httptools", "jinja2", "prometheus_client", "starlette.applications", "starlette.staticfiles", "uvicorn",
    "tasks.outputs", "worker.cli.checks.looks", "worker.cli.health_check", "worker.cli.result_query",
    "worker.cli.submit_queue", "worker.cli.submitted_before", "worker.cli.task_fetch",
    "worker.store.dead_letters", "worker.store.malformed",
)  # fmt: skip
"""Nothing that starts a thread, opens anything or reads a setting when it is imported."""

LONGEST: Final = 1 << 17
CALLER: Final = """#!{python} -IS
import _signal, _socket, posix, sys  # their public forms take three times as long to import
name, words = {name!r}, sys.argv[1:]
if name == "python" and not (words and words[0].endswith(".py")):
    posix.execv({python!r}, [{python!r}, *words])
server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
server.connect({socket!r})
order = {{"program": name, "words": words, "directory": posix.getcwd(), "environment": posix.environ}}
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
server.sendmsg([repr(order).encode()], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
pid = int(server.recv(32))
for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGQUIT, _signal.SIGHUP):
    _signal.signal(number, lambda number, _: posix.kill(pid, number))
code = int(server.recv(32) or 1)
sys.exit(code if code >= 0 else 128 - code)
"""


@contextmanager
def commands() -> Iterator[Path]:
    """A folder with both commands, for as long as the block; what they started ends with it."""
    with tempfile.TemporaryDirectory(prefix="aigc-quick-") as folder:
        path = str(Path(folder, "socket"))
        command = [sys.executable, "-m", "tests.quick_python", path]
        server = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert server.stdout is not None
        assert server.stdout.readline(), "it did not start"
        binaries = Path(folder, "bin")
        binaries.mkdir()
        for name in ("python", "aigc"):
            caller = CALLER.format(python=sys.executable, name=name, socket=path)
            (binaries / name).write_text(caller)
            (binaries / name).chmod(0o755)
        try:
            yield binaries
        finally:
            server.communicate()


@cache
def quick_aigc() -> str:
    """The path of a quick `aigc`, for as long as this process runs."""
    stack = ExitStack()
    atexit.register(stack.close)
    return str(stack.enter_context(commands()) / "aigc")


class _Forks:
    """The forks, each with the connection of its caller."""

    def __init__(self, path: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(path)
        self._listener.listen()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        self._pids: dict[int, int] = {}

    def serve(self) -> dict[str, Any] | None:
        """Fork for each caller; returns the order in a fork, None at the end of the standard input."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is sys.stdin:
                    self._end()
                    return None
                if key.fileobj is self._listener:
                    if order := self._accept():
                        return order
                elif isinstance(key.fileobj, socket.socket):
                    self._kill(key.fileobj)  # its caller is gone
                else:
                    self._ended(key.fd, *key.data)

    def _accept(self) -> dict[str, Any] | None:
        caller, _ = self._listener.accept()
        data, streams, _, _ = socket.recv_fds(caller, LONGEST, 3)
        pid = os.fork()
        if pid == 0:
            for standard, descriptor in enumerate(streams):
                os.dup2(descriptor, standard)
            os.closerange(3, max(caller.fileno(), *streams) + 64)
            order: dict[str, Any] = ast.literal_eval(data.decode())
            return order
        for descriptor in streams:
            os.close(descriptor)
        self._pids[caller.fileno()] = pid
        self._selector.register(caller, selectors.EVENT_READ)
        self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, caller))
        caller.send(b"%d" % pid)
        return None

    def _ended(self, descriptor: int, pid: int, caller: socket.socket) -> None:
        _, status = os.waitpid(pid, 0)
        self._selector.unregister(descriptor)
        os.close(descriptor)
        if self._pids.pop(caller.fileno(), None):
            self._selector.unregister(caller)
            caller.send(b"%d" % os.waitstatus_to_exitcode(status))
            caller.close()

    def _kill(self, caller: socket.socket) -> None:
        os.kill(self._pids.pop(caller.fileno()), signal.SIGKILL)
        self._selector.unregister(caller)
        caller.close()

    def _end(self) -> None:
        for pid in self._pids.values():
            os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Serve; in a fork, become what was ordered."""
    for module in (*PRELOADED, *OF_COMMANDS):
        import_module(module)
    for name in CHECKS:
        source(name)  # and keep it
    gc.collect()
    gc.freeze()  # what is shared stays shared: a collection in a fork would copy all of it
    forks = _Forks(sys.argv[1])
    print("ready", flush=True)
    if order := forks.serve():
        _become(order)


def _become(order: dict[str, Any]) -> None:
    os.chdir(order["directory"])
    os.environ.clear()
    os.environb.update(order["environment"])
    tempfile.tempdir = None
    sys.stdin = os.fdopen(0, closefd=False)
    # As Python does: what is no terminal is buffered by blocks, but for errors.
    by_lines = os.isatty(1) or "PYTHONUNBUFFERED" in os.environ
    sys.stdout = os.fdopen(1, "w", buffering=1 if by_lines else -1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False, errors="backslashreplace")
    if order["program"] == "aigc":
        sys.argv = ["aigc", *order["words"]]
        _leave(_exit_code_of_aigc())
    else:
        sys.argv = order["words"]
        sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
        runpy.run_path(sys.argv[0], run_name="__main__")


def _exit_code_of_aigc() -> int:
    try:
        import_module("aigc_worker").main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        raise
    return 0


def _leave(code: int) -> None:
    """End as Python does, but that it takes no module apart: a fork would copy all of them for that."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(code)  # Python says what is wrong
    os._exit(code)


if __name__ == "__main__":
    main()
