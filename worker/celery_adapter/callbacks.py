"""Sends what hangs on a job in a canvas once the job has ended: callbacks and the chain's rest, or errbacks.

Not left to Celery, which would send it before the record says so, and anew at each delivery, would call an
errback that bears the name of a task of ours with arguments that are none of a job, and takes a broker that
is away for a failure of the task. Here it is sent after the end is written down and before the message goes:
at least once, normally once, and each time under the same task ids.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from celery import Celery
from kombu.exceptions import OperationalError

from tasks.envelope import InvalidJob, Job
from tasks.exceptions import AigcError
from tasks.trace_context import headers_of
from worker.bootstrap import Runtime
from worker.domain.canvas import FollowUp, follow_ups, kind_of, with_headers
from worker.store.redis_wait import Away, Wait

log = logging.getLogger(__name__)

REFUSED_S: Final = 30.0
"""How long is tried to send one; then its message is left, to be taken again later."""


class NotSent(AigcError):
    """What follows a job cannot be sent now; its message has to stay."""


def follow(this: Runtime, app: Celery, job: Job | InvalidJob, embedded: Mapping[str, Any], name: str) -> bool:
    """Send what follows the end of a job, once, and delete its message; False where it has not ended.

    Args:
        embedded: what hangs on it, as its message has it.
        name: the message's.

    Raises:
        NotSent: the broker refuses it.
        StoreClosed: the worker stops while Redis is away.
    """
    plain = job if isinstance(job, Job) else Job(job.id, job.payload, job.metadata, trace=job.trace)
    result = this.linked.ended(plain)
    if result is None:
        return False
    kind = kind_of(result)
    if this.linked.may_follow(plain.id, kind, name):
        for each in follow_ups(embedded, result):
            _send(app, plain, each, this.linked.wait())
        this.linked.followed_up(plain.id, kind, name)
    this.queue.done(name)
    return True


def _send(app: Celery, job: Job, each: FollowUp, wait: Wait) -> None:
    """Send one; one that Celery can make nothing of is logged, and harms no other."""
    until = time.monotonic() + REFUSED_S
    while True:
        try:
            _apply(app, job, each)
            return
        except (OperationalError, *Away) as error:
            if time.monotonic() > until:
                raise NotSent(f"what follows job {job.id} cannot be sent: {error}") from error
            wait.after(error)
        except Exception as error:
            log.error(
                "job %s has ended, but its callback %.200s cannot be sent: %s: %.200s",
                job.id, each.signature["task"], type(error).__name__, error,
            )  # fmt: skip
            return


def _apply(app: Celery, job: Job, each: FollowUp) -> None:
    options = {"task_id": each.task_id, "chain": list(each.chain)}
    signature = with_headers(each.signature, headers_of(job.trace), each.headers or {})
    app.signature(signature).apply_async(
        (each.argument,),
        parent_id=job.id,
        root_id=job.id,
        **{name: value for name, value in options.items() if value},
    )
