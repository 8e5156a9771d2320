"""The one switch between Redis and a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from .. import backend, broker
from .celery_app import own_apps_captured
from .jobs import CapturedJobs
from .memory import InMemory

_WORDS: Final = "within tasks.testing.capture() there is no Redis, and this needs one"


@contextmanager
def capture() -> Iterator[CapturedJobs]:
    """Within the block, of all threads of the process, jobs are captured instead of queued.

    Gives the jobs that are submitted, as a sequence; see `CapturedJobs`. What asks for Redis in another way
    than by the functions of `tasks` raises BrokerUnavailable.
    """
    memory = InMemory()
    with own_apps_captured(memory), broker.kept_away(_WORDS):
        before = backend.use(memory)
        try:
            yield memory.jobs
        finally:
            backend.use(before)
            memory.close()
