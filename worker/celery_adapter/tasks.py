"""The two Celery tasks, for messages that Celery itself has to do with.

Those are messages on which callbacks or a chain hang, and all messages in the processes of a prefork pool.
Any other goes from the transport to the loop without a task. Whatever goes wrong, a message is never taken
for done before its jobs are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from celery import Celery
from celery.exceptions import Ignore, Reject

from tasks.contract import BATCH_TASK_NAME, ENQUEUED_AT_HEADER, REFUSAL_HEADER, TASK_NAME
from tasks.envelope import InvalidJob, Job, jobs_of
from tasks.exceptions import AigcError
from tasks.trace_context import TRACEPARENT, TRACESTATE
from worker.bootstrap import Runtime, runtime
from worker.celery_adapter.callbacks import NotSent, follow
from worker.local import prefork
from worker.processing.values import Disposition, job_of
from worker.store.redis_wait import StoreClosed
from worker.store.values import Delivery, Postponement

log = logging.getLogger(__name__)

CHILD_LOOK_AGAIN_S: Final = 10.0
"""When a prefork child looks again at a job that may not be sent now: its parent does not know why, and would
take the message again at once."""

CHILD_PAUSE_S: Final = 1.0
"""Before a prefork child gives back a message of many jobs, or one that it failed at: rather late than round
and round."""

# Not typed: what a canvas sends on has a message's arguments, and the strategy hands them over as two.
_OPTIONS: Final[dict[str, Any]] = {
    "bind": True,
    "typing": False,
    "Strategy": "worker.celery_adapter.strategy:deliver",
}


FOLLOWING: Final = ("callbacks", "errbacks", "chain")
"""What of a canvas follows a job; a chord would need a result backend, and there is none."""


_HEADERS: Final = (ENQUEUED_AT_HEADER, REFUSAL_HEADER, TRACEPARENT, TRACESTATE)


class Stuck(AigcError):
    """A message that can neither be done nor given back at once: that would go round and round."""


def register(app: Celery) -> None:
    """Give the app its tasks."""

    def submit_workflow(self: Any, args: Any, kwargs: Any) -> None:
        """Send one job: ``args=[payload]``, ``kwargs={"metadata": …, "unlisted": …}`` in its message."""
        _work(self, args, kwargs)

    def submit_workflows(self: Any, args: Any, kwargs: Any) -> None:
        """Send many jobs that came in one message."""
        _work(self, args, kwargs)

    app.task(name=TASK_NAME, **_OPTIONS)(submit_workflow)
    app.task(name=BATCH_TASK_NAME, **_OPTIONS)(submit_workflows)


def _work(task: Any, args: Any, kwargs: Any) -> None:
    request = task.request
    headers = {name: request.get(name) for name in _HEADERS}
    jobs = jobs_of(request.task, request.id, args, kwargs, headers)
    embedded = {name: request.get(name) for name in FOLLOWING}
    linked = len(jobs) == 1 and any(embedded.values())
    with _kept_on_fault(request):
        this, name = runtime(), request.properties["delivery_tag"]
        disposition = _process(this, name, jobs, request.properties["expires_s"], linked)
        if linked and disposition in (Disposition.SETTLED, Disposition.ACKNOWLEDGE):
            ended = follow(this, task.app, jobs[0], embedded, name)
            if not ended and disposition is Disposition.SETTLED:
                this.queue.done(name)  # another delivery's attempt may decide: Redis gives this one back
    if linked or disposition is not Disposition.SETTLED:
        raise Ignore  # what hangs on the job was sent, or must not be: Celery has no part in it


def _process(
    this: Runtime, name: str, jobs: Sequence[Job | InvalidJob], expires_s: float | None, linked: bool
) -> Disposition:
    """Take the jobs of a message as far as they get, and do with the message what follows.

    Args:
        linked: something hangs on its one job; the message outlives the job's end.

    Raises:
        StoreClosed: the worker stops while Redis is away; the message stays where it is.
        Stuck: the message should be taken again, but not at once.
    """
    if not this.registry.owner:
        this.registry.join()  # a prefork child, on its first message
    disposition = this.loop.process(name, jobs, expires_s, linked)
    match disposition:
        case Disposition.SETTLED if linked:
            pass
        case Disposition.STUCK:
            raise Stuck(f"of message {name} not all can go on")
        case Disposition.REQUEUE if prefork.is_child() and not this.stopping.is_set():
            _give_back_later(this, name, jobs)
        case Disposition.REQUEUE:
            this.queue.give_back(name)
        case Disposition.SETTLED | Disposition.DEFERRED:
            # Its message went in the same script. ACKNOWLEDGE is for Celery, which does so at the task's end.
            this.queue.done(name)
    return disposition


def _give_back_later(this: Runtime, name: str, jobs: Sequence[Job | InvalidJob]) -> None:
    owner, _, tag = name.partition("/")
    if len(jobs) > 1:
        this.stopping.wait(CHILD_PAUSE_S)
        this.queue.give_back(name)
        return
    (job,) = jobs
    plain = job if isinstance(job, Job) else job_of(job)
    delivery = Delivery(owner, tag, int(tag.partition(".")[0]))
    this.job_store.insist(Postponement(plain, delivery, CHILD_LOOK_AGAIN_S))


@contextmanager
def _kept_on_fault(request: Any) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(error, Stuck | NotSent):
            log.error("%s", error)
        elif not isinstance(error, StoreClosed):
            log.exception("a fault of this program; message %s is kept", request.id)
        if not prefork.is_child():
            # It stays in Redis, and goes back by `MessageQueue.recover`, or when this worker has left.
            runtime().queue.done(request.properties["delivery_tag"])
            raise Ignore from None
        # A prefork child: its parent holds the message, and would delete it for an `Ignore`.
        runtime().stopping.wait(CHILD_PAUSE_S)
        raise Reject(error, requeue=True) from None
