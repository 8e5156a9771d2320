"""The command of a deployment, run on this machine with the environment that the deployment gives it."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.conditions import PATIENCE_S
from tests.quick_python import quick_aigc

ROOT = Path(__file__).parents[2]
SCRIPTS = sysconfig.get_path("scripts")


def quickly(command: Sequence[str]) -> list[str]:
    """The same command; `aigc` is a fork of a process that has imported it."""
    program, *words = command
    return [quick_aigc() if program == "aigc" else program, *words]


class Native:
    """A running command, and others in its environment.

    Args:
        environment: all that it has, but for PATH.
        log: where it says what it says.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._environment = {"PATH": os.pathsep.join([SCRIPTS, os.defpath]), **environment}
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command, cwd=log.parent, env=self._environment, stdout=file, stderr=file
            )

    def succeeds(self, command: Sequence[str]) -> bool:
        """Whether another command, in the same environment, exits 0; a quick one, for it is asked often."""
        done = subprocess.run(
            quickly(command), cwd=ROOT, env=self._environment, capture_output=True, timeout=PATIENCE_S
        )
        return done.returncode == 0

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds, of a command that lives; on failure show what it said."""
        until = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)

    def terminate(self) -> int:
        """SIGTERM; its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE_S)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Native]:
    """Run it until the block ends."""
    native = Native(command, environment, log)
    try:
        yield native
    finally:
        native.end()
