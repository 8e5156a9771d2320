"""`aigc` processes beside this one: a sandbox vendor and workers, for the demo and for tests elsewhere."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

from tasks.exceptions import AigcError
from worker.config.settings import foreign_environ
from worker.dev.embedded import tied_to_parent

GIVE_UP_S: Final = 60.0
STOP_S: Final = 10.0
AIGC: Final = [sys.executable, "-P", "-m", "aigc_worker"]
"""The command, also where the working directory has modules of the same names as ours."""

Log = queue.Queue[dict[str, Any] | None]


class NotStarted(AigcError):
    """A process did not start; the message says why."""


def environment(redis_url: str, identity: str) -> dict[str, str]:
    """Of such a process; `identity` is a directory that is its own."""
    return foreign_environ() | {
        "AIGC_REDIS_URL": redis_url,
        "AIGC_ACCESS_KEY": "demo-access-key",
        "AIGC_SECRET_KEY": "demo-secret-key",
        "AIGC_LOG_FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
        "AIGC_STATE_DIR": identity,
    }


@contextmanager
def process(
    arguments: list[str], env: dict[str, str], stdout: int | None, stderr: int | None
) -> Iterator[subprocess.Popen[bytes]]:
    """An `aigc` process that ends with the block, and with this process however that ends."""
    started = subprocess.Popen(
        tied_to_parent([*AIGC, *arguments]),
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if stdout is None else stdout,
        stderr=stderr,
        start_new_session=True,  # Ctrl-C is for this process, which then stops the others in order
    )
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(STOP_S)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def address(sandbox: subprocess.Popen[bytes]) -> str:
    """Where a sandbox listens. Raises NotStarted."""
    assert sandbox.stdout is not None
    line = sandbox.stdout.readline().decode()
    _, found, url = line.strip().partition("listens on ")
    if not found:
        raise NotStarted("the sandbox did not start; its reason is above")
    return url


def lines(worker: subprocess.Popen[bytes]) -> Log:
    """The worker's log, a dictionary for each line; None at its end."""
    found: Log = queue.Queue()

    def read(stream: IO[bytes]) -> None:
        for line in stream:
            try:
                found.put(json.loads(line))
            except ValueError:
                found.put({"message": line.decode(errors="replace").rstrip()})
        found.put(None)

    assert worker.stderr is not None
    threading.Thread(target=read, args=(worker.stderr,), daemon=True).start()
    return found


def wait_until_ready(worker: subprocess.Popen[bytes], log: Log) -> None:
    """Until the worker takes jobs. Raises NotStarted."""
    seen = []
    for line in until(log, time.monotonic() + GIVE_UP_S):
        seen.append(str(line.get("message")))
        if seen[-1].endswith("ready."):
            return
    raise NotStarted("the worker did not start:\n" + "\n".join(seen[-20:]))


def until(log: Log, end: float) -> Iterator[dict[str, Any]]:
    """The log's lines, until it ends or this time (of `time.monotonic`) has come."""
    while (left := end - time.monotonic()) > 0:
        try:
            line = log.get(timeout=left)
        except queue.Empty:
            return
        if line is None:
            return
        yield line
