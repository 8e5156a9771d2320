"""Jobs that Celery has sent, for they are to begin later or are part of a canvas, in their batches."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..clients import promptly, reported
from ..exceptions import BrokerUnavailable
from .scripts import Entry, enter

log = logging.getLogger("tasks")


@contextmanager
def counted_in_batch(
    job_id: Callable[[], str],
    positional: Sequence[Any],
    options: Mapping[str, Any],
    queue: str,
    client: Callable[[], Any],
) -> Iterator[None]:
    """Count the job that the block sends, if it belongs to a batch and goes to where ours go.

    A job that is not counted now, for Redis went away meanwhile, is once a worker takes it.

    Args:
        job_id: asked after the block.
        positional: what `send_task` was given after the task's name, `options` what by name.

    Raises:
        BrokerUnavailable: Redis is away already; nothing was sent.
    """
    args = positional[0] if positional else options.get("args")
    kwargs = positional[1] if len(positional) > 1 else options.get("kwargs")
    batch = kwargs.get("batch") if isinstance(kwargs, Mapping) else None
    if batch is None or not args or options.get("connection") is not None:
        yield
        return
    key = f"{queue}:batch:{batch}"
    with reported(key):
        second, micros = promptly(lambda: client().time())
    yield
    entry, sent_ms = Entry(str(batch), job_id(), str(args[0].get("workflow"))), second * 1000 + micros // 1000
    try:
        with reported(key):
            promptly(lambda: enter(client(), queue, entry, sent_ms, keep_s=_waits_s(options)))
    except BrokerUnavailable as error:
        log.warning("job %s is queued, and will count in its batch %s later: %s", entry.job_id, batch, error)


def _waits_s(options: Mapping[str, Any]) -> int:
    """For how long a job waits that is to begin later, in seconds; 0 where that cannot be told."""
    try:
        return max(0, int(options.get("countdown") or options["eta"].timestamp() - time.time()))
    except (KeyError, TypeError, ValueError, AttributeError):
        return 0
