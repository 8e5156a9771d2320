"""Three workers, each of this version or of the earlier one, replaced one after the other."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.chaos.arena import Arena
from tests.conditions import until
from tests.integration.stage import Worker
from tests.upgrade.revision import Revision

SIZE: Final = 3


class EarlierWorker(Worker):
    """A worker of an earlier revision, by its own programs, in its own directory."""

    def __init__(self, revision: Revision, environment: Mapping[str, str]) -> None:
        descriptor, log = tempfile.mkstemp(prefix="aigc-worker-", suffix=".log")
        self.log = Path(log)
        own = os.pathsep.join([str(revision.directory / ".venv" / "bin"), environment.get("PATH", "")])
        environment = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
        self.process = subprocess.Popen(
            [revision.program("celery"), "-A", "worker.app", "worker"],
            cwd=revision.directory, env={**environment, "PATH": own}, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor,
        )  # fmt: skip
        os.close(descriptor)


class Fleet:
    """The workers of a queue."""

    def __init__(self, arena: Arena, revision: Revision) -> None:
        self._arena = arena
        self._revision = revision
        self._workers: list[Worker] = []
        self._are_earlier: list[bool] = []

    @property
    def earlier(self) -> int:
        """How many are of the earlier revision."""
        return sum(self._are_earlier)

    def start(self, *, earlier: bool) -> None:
        """All of them, of one kind."""
        self._workers = [self._new(earlier) for _ in range(SIZE)]
        self._are_earlier = [earlier] * SIZE
        for worker in self._workers:
            self._await(worker)

    def replace(self, place: int, *, earlier: bool, kill: bool) -> None:
        """End the worker of that place, by SIGTERM or by SIGKILL, and start one of this kind there."""
        old = self._workers[place]
        self._arena.check_alive(old)
        if kill:
            self._arena.kill_worker(old)
        else:
            self._arena.stop(old)
            self._arena.gone.append(old)
        self._workers[place] = self._new(earlier)
        self._are_earlier[place] = earlier
        self._await(self._workers[place])

    def check(self) -> None:
        """Complain of each that has ended by itself."""
        self._arena.check_alive(*self._workers)

    def _new(self, earlier: bool) -> Worker:
        if not earlier:
            return self._arena.start()
        worker = EarlierWorker(self._revision, self._arena.env(**self._arena.settings))
        self._arena.workers.append(worker)
        return worker

    def _await(self, worker: Worker) -> None:
        until(
            lambda: self._arena.owners_of(worker.process.pid) or worker.process.poll() is not None,
            "a worker to begin",
        )
        assert worker.process.poll() is None, f"a worker did not start\n{worker.output()[-2000:]}"
