"""What the engine works with, as it sees it: the vendor, the store of files, Redis, and who is told."""

from __future__ import annotations

from typing import Protocol

from tasks.output import Output
from worker.domain.query import QueryOutcome, Refused
from worker.keeping import Finished, Kept, NotKept
from worker.store.redis_wait import Wait
from worker.store.task_values import EndVerdict, Learned, OpenTask, Taken, TaskEnd


class Asks(Protocol):
    """The vendor's client; blocks, and never raises."""

    def ask(self, task_id: str) -> QueryOutcome: ...
    def close(self) -> None: ...


class Keeps(Protocol):
    """What keeps files; blocks, and never raises."""

    def keep(self, url: str, of: Finished) -> Kept | NotKept: ...


class Tasks(Protocol):
    """Where tasks are; see `worker.store.tasks.TaskStore`."""

    def take(self, most: int, lease_s: float) -> Taken: ...
    def postpone(self, task: OpenTask, gap_s: float, learned: Learned = ...) -> bool: ...
    def renew(self, task: OpenTask, lease_s: float) -> bool: ...
    def end(self, task: OpenTask, end: TaskEnd) -> EndVerdict: ...
    def finish(self, task: OpenTask) -> EndVerdict: ...
    def note_trouble(self, owner: str, words: str) -> None: ...
    def forget_trouble(self, owner: str) -> None: ...
    def wait(self) -> Wait: ...


class Reporter(Protocol):
    """Who is told."""

    def output(self, output: Output, asked: int, reason: str = "") -> None: ...
    def queries_refused(self, outcome: Refused) -> None: ...
