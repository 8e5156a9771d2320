"""The Celery app of the worker and its two tasks: ``celery -A worker.app worker``."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from celery import Celery, signals
from celery.exceptions import Ignore, Reject
from celery.worker import state

from tasks.contract import BATCH_TASK_NAME, ENQUEUED_AT_HEADER, TASK_NAME
from tasks.envelope import jobs_of
from worker import observability
from worker.bootstrap import runtime, settings_or_exit, stop_pool, stop_with_parent
from worker.domain.message import TOGETHER_TASK_NAME
from worker.local import descriptors
from worker.local.signals import EXTRA_GRACE_S, SignalThread, ignore_in_pool_process
from worker.processing.deliveries import Stuck
from worker.processing.values import Disposition
from worker.store.retrying import StoreClosed

log = logging.getLogger(__name__)

_is_child = False
_logs = False
_worker_pid = 0

CHILD_FAULT_PAUSE_S = 1.0
"""Before a prefork child gives back a message that it failed at: rather late than round and round."""

app = Celery("aigc")
app.config_from_object("worker.celery_adapter.config")

# Not typed: what a canvas sends on has a message's arguments, and the strategy hands them over as two.
_OPTIONS: dict[str, Any] = {
    "bind": True,
    "typing": False,
    "Strategy": "worker.celery_adapter.strategy:deliver",
}


@app.task(name=TASK_NAME, **_OPTIONS)
def submit_workflow(self: Any, args: Any, kwargs: Any) -> None:
    """Submit one job: ``args=[payload]``, ``kwargs={"metadata": …, "unlisted": …}`` in its message."""
    _work(self.request, args, kwargs)


@app.task(name=BATCH_TASK_NAME, **_OPTIONS)
def submit_workflows(self: Any, args: Any, kwargs: Any) -> None:
    """Submit many jobs that came in one message."""
    _work(self.request, args, kwargs)


@app.task(name=TOGETHER_TASK_NAME, **_OPTIONS)
def submit_together(self: Any, args: Any, kwargs: Any) -> None:
    """Submit the jobs of many messages that were delivered together."""
    with _kept_on_fault(self.request):
        runtime().deliveries.take_on_together(args[0])


def _work(request: Any, args: Any, kwargs: Any) -> None:
    enqueued = {ENQUEUED_AT_HEADER: request.get(ENQUEUED_AT_HEADER)}
    jobs = jobs_of(request.task, request.id, args, kwargs, enqueued)
    with _kept_on_fault(request):
        name, expires_s = request.properties["delivery_tag"], request.properties["expires_s"]
        after = runtime().deliveries.take_on(name, jobs, expires_s)
    if after is not Disposition.ENDED:
        raise Ignore  # the message is done, the job is not: nothing that is linked to it may start


@contextmanager
def _kept_on_fault(request: Any) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(error, Stuck):
            log.error("%s", error)
        elif not isinstance(error, StoreClosed):
            log.exception("a fault of this program; message %s is kept", request.id)
        if not _is_child:
            # It stays in Redis, and goes back by `MessageQueue.recover`, or when this worker has left.
            runtime().message_queue.done(request.properties["delivery_tag"])
            raise Ignore from None
        # A prefork child: its parent holds the message, and would delete it for an `Ignore`.
        runtime().stopping.wait(CHILD_FAULT_PAUSE_S)
        raise Reject(error, requeue=True) from None


@signals.celeryd_init.connect
def _take_signals(instance: Any, **_: Any) -> None:
    global _worker_pid
    _worker_pid = os.getpid()
    settings = settings_or_exit()
    _set_up_logging()  # before anything has something to say
    grace_s = settings.connect_timeout_s + settings.read_timeout_s + EXTRA_GRACE_S
    SignalThread(partial(_stop_softly, instance.hostname), grace_s).install()
    # Celery's own handlers: some kill what is in flight, one replaces the process.
    instance.install_platform_tweaks = lambda _: None


def _stop_softly(hostname: str, signal_name: str) -> None:
    """What Celery's handler of SIGTERM does."""
    state.should_stop = 0
    signals.worker_shutting_down.send(sender=hostname, sig=signal_name, how="Warm", exitcode=0)


@signals.worker_process_init.connect
def _note_that_this_is_a_prefork_child(**_: Any) -> None:
    global _is_child
    _is_child = True
    if os.getpid() != _worker_pid:  # the solo pool says so of the worker itself
        ignore_in_pool_process()
        stop_with_parent()


@signals.setup_logging.connect
def _set_up_logging(**_: Any) -> None:
    global _logs
    if not _logs:
        _logs = True
        observability.setup(settings_or_exit())


@signals.worker_init.connect
def _fit_to_pool(sender: Any, **_: Any) -> None:
    if getattr(sender.pool_cls, "is_green", False):
        # SystemExit, because Celery only logs what else a receiver raises.
        sys.exit(
            "aigc: use --pool threads: green pools share one thread with the heartbeat, so a worker that"
            " works hard would be declared dead, and what it holds would be given to others"
        )
    try:
        descriptors.reserve(settings_or_exit().concurrency)
    except descriptors.TooFew as problem:
        sys.exit(f"aigc: {problem}")
    # Each speaks to the broker on its own: a worker that stops while Redis is away would wait for ever.
    sender.options.update(without_heartbeat=True, without_gossip=True, without_mingle=True)
    pool = sender.pool_cls.__module__.rpartition(".")[2]
    runtime().message_queue.bundles = pool == "thread"
    if pool == "prefork":
        runtime().flow_control.let_others_judge()


@signals.worker_ready.connect
def _introduce(**_: Any) -> None:
    settings = settings_or_exit()
    log.info(
        "this worker takes %s at %s, posts to %s, at most %d at a time",
        settings.queue,
        settings.redis_place(),
        settings.endpoint,
        settings.concurrency,
    )


@signals.worker_shutting_down.connect
def _begin_to_stop(**_: Any) -> None:
    runtime().stop()
    stop_pool()


@signals.worker_shutdown.connect
@signals.worker_process_shutdown.connect
def _say_goodbye(**_: Any) -> None:
    runtime().close()
