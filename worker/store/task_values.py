"""What the store of followed tasks is asked with and answers. Values only."""

from __future__ import annotations

from typing import Literal

from tasks.frozen import value

EndVerdict = Literal["ended", "already", "stale", "left"]
"""This call, or its first try, ended the task; another worker had; another has leased it, or nobody follows
it; it stays open for steps of its end that only a later version knows."""


@value(frozen=True, slots=True)
class OpenTask:
    """A task that was leased to be asked about. Times are ms since the epoch by Redis's clock.

    ``metadata`` is JSON. ``due_ms`` is when it fell due, ``wait_s`` how long to wait for its turn in the
    schedule of queries. ``url``, ``succeeded_ms`` and ``keep_tries`` are set once the vendor named its file,
    which is not kept yet. ``output`` is set where it has ended, and Redis refused some of what follows.
    ``traceparent`` and ``tracestate`` are the job's, "" where it has none.
    """

    task_id: str
    token: int
    wait_s: float
    due_ms: int
    job_id: str | None
    workflow: str | None
    version: str | None
    metadata: str
    accepted_ms: int
    deadline_ms: int
    is_adopted: bool = False
    asked: int = 0
    looked_ms: int | None = None
    vendor_status: str | None = None
    url: str | None = None
    succeeded_ms: int | None = None
    keep_tries: int = 0
    output: str | None = None
    traceparent: str = ""
    tracestate: str = ""


@value(frozen=True, slots=True)
class Taken:
    """What a look for due tasks found.

    ``now_ms`` is Redis's time; ``next_s`` after how long another look may find more, None where no task is
    open. ``unreadable``: ids of tasks whose record is none, or gone, and
    why.
    """

    now_ms: int
    next_s: float | None
    tasks: tuple[OpenTask, ...]
    unreadable: tuple[tuple[str, str], ...] = ()


@value(frozen=True, slots=True)
class Learned:
    """What is noted of a task that stays open; None where it stays as it is."""

    asked: int | None = None
    vendor_status: str | None = None
    url: str | None = None
    succeeded_ms: int | None = None
    keep_tries: int | None = None


@value(frozen=True, slots=True)
class TaskEnd:
    """How a task ends: its output's JSON, and what is counted with it.

    ``took_ms``: how long the vendor took, where that is known. ``is_unstored``: it has a file, which could
    not be kept.
    """

    output_json: str
    status: str
    finished_ms: int
    vendor_status: str | None = None
    took_ms: int | None = None
    is_unstored: bool = False
