"""Jobs that Celery has sent, for they are to begin later or are part of a canvas, in their batches."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..clients import promptly, reported
from ..exceptions import BrokerUnavailable
from .scripts import Entry, enter

log = logging.getLogger("tasks")


def count_in_batch(
    job_id: str,
    positional: Sequence[Any],
    options: Mapping[str, Any],
    queue: str,
    client: Callable[[], Any],
) -> None:
    """Count a job that was sent, if it belongs to a batch and went to where ours go.

    A job that is not counted now, for Redis went away meanwhile, is once a worker takes it.

    Args:
        positional: what `send_task` was given after the task's name, `options` what by name.
    """
    args = positional[0] if positional else options.get("args")
    kwargs = positional[1] if len(positional) > 1 else options.get("kwargs")
    batch = kwargs.get("batch") if isinstance(kwargs, Mapping) else None
    if batch is None or not args or options.get("connection") is not None:
        return
    entry = Entry(str(batch), job_id, str(args[0].get("workflow")))
    try:
        with reported(f"{queue}:batch:{batch}"):
            promptly(lambda: enter(client(), queue, entry, keep_s=_waits_s(options)))
    except BrokerUnavailable as error:
        log.warning("job %s is queued, and will count in its batch %s later: %s", job_id, batch, error)


def _waits_s(options: Mapping[str, Any]) -> int:
    """For how long a job waits that is to begin later, in seconds; 0 where that cannot be told."""
    try:
        return max(0, int(options.get("countdown") or options["eta"].timestamp() - time.time()))
    except (KeyError, TypeError, ValueError, AttributeError):
        return 0
