"""Processes that are measured: pinned to a core, their CPU time and memory as the kernel has them. Linux."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


class Pinned:
    """A process and its children on one core, in a session of their own; killed at the end."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], domain: int) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        # taskset, not a preexec_fn: that is unsafe in a parent with threads.
        self.process = subprocess.Popen(
            ["taskset", "--cpu-list", str(domain), *command], env=dict(env), stdin=subprocess.DEVNULL,
            stdout=self._log, stderr=self._log, start_new_session=True,
        )  # fmt: skip

    def cpu_s(self) -> float:
        """CPU seconds used so far, user and system, by the process and its living descendants."""
        return sum(_cpu_s(pid) for pid in self.pids())

    def pss_mb(self) -> float:
        """Proportional set size: memory that is shared is counted in parts."""
        return sum(_pss_kb(pid) for pid in self.pids()) / 1024

    def pids(self) -> list[int]:
        """The process and its living descendants."""
        found = [self.process.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found += map(int, children.read_text().split())
        return found

    def check(self) -> None:
        """Raise RuntimeError with the end of its output if the process has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.process.args!r} ended:\n{self.output()}")

    def output(self) -> str:
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - 3000))
        return self._log.read().decode(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._log.close()


def _cpu_s(pid: int) -> float:
    # The kernel's clock of another process, in nanoseconds: /proc/PID/stat has ticks of 10 ms.
    with contextlib.suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)
    return 0.0


def _pss_kb(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
