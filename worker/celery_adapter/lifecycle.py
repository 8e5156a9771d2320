"""What the worker does when Celery starts, is ready, begins to stop, and has stopped."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

from celery import signals
from celery.exceptions import SecurityWarning
from celery.worker import state

from worker import observability
from worker.bootstrap import leave_where_kept_out, runtime, settings_or_exit
from worker.config.settings import foreign_environ
from worker.local import description, descriptors, prefork
from worker.local.signals import EXTRA_GRACE_S, SignalThread, ignore_in_pool_process
from worker.observability import traces

log = logging.getLogger(__name__)

_logs = False
_worker_pid = 0


def connect() -> None:
    """Take Celery's signals."""
    # Celery holds receivers weakly; these are functions of a module, and stay.
    signals.celeryd_init.connect(_refuse_other_queues)
    signals.celeryd_init.connect(_take_signals)
    signals.worker_process_init.connect(_note_that_this_is_a_prefork_child)
    signals.setup_logging.connect(_set_up_logging)
    signals.worker_init.connect(_fit_to_pool)
    signals.worker_ready.connect(_introduce)
    signals.worker_shutting_down.connect(_begin_to_stop)
    signals.worker_shutdown.connect(_say_goodbye)
    signals.worker_process_shutdown.connect(_say_goodbye)


def _refuse_other_queues(options: Any, **_: Any) -> None:
    """Celery's ``-Q`` and ``-X`` change nothing for our transport: what they ask for would not be done."""
    problem = queues_refused(
        settings_or_exit().queue, options.get("queues") or (), options.get("exclude_queues") or ()
    )
    if problem:
        sys.exit(f"aigc: {problem}")


def queues_refused(queue: str, wanted: Sequence[str] | str, excluded: Sequence[str] | str) -> str | None:
    """Why a worker that takes from this queue must not start with ``-Q`` and ``-X``; None where it may."""
    names, left_out = (
        [name.strip() for name in (each.split(",") if isinstance(each, str) else each)]
        for each in (wanted, excluded)
    )
    if names and set(names) != {queue}:
        one = f"AIGC_QUEUE={names[0]}" if len(names) == 1 else "a worker with its AIGC_QUEUE for each"
        return f"-Q {','.join(names)}: this worker takes from {queue} alone, as AIGC_QUEUE says; use {one}"
    if queue in left_out:
        return f"-X {queue}: this worker takes from {queue} alone, as AIGC_QUEUE says"
    return None


def _take_signals(instance: Any, **_: Any) -> None:
    global _worker_pid
    _worker_pid = os.getpid()
    description.note_node_name(str(instance.hostname))
    settings = settings_or_exit()
    _set_up_logging()  # before anything has something to say
    _say_if_root()
    grace_s = settings.connect_timeout_s + settings.read_timeout_s + EXTRA_GRACE_S
    SignalThread(partial(_stop_softly, instance.hostname), grace_s).install()
    # Celery's own handlers: some kill what is in flight, one replaces the process.
    instance.install_platform_tweaks = lambda _: None


def _say_if_root() -> None:
    """In a line, where Celery takes ten."""
    warnings.filterwarnings("ignore", "You're running the worker with superuser", SecurityWarning)
    if os.geteuid() == 0:
        log.warning("this worker runs as root: a user of its own would do")


def _stop_softly(hostname: str, signal_name: str) -> None:
    """What Celery's handler of SIGTERM does."""
    state.should_stop = 0  # the exit code; Celery tells it from None and False, which mean that it goes on
    signals.worker_shutting_down.send(sender=hostname, sig=signal_name, how="Warm", exitcode=0)


def _note_that_this_is_a_prefork_child(**_: Any) -> None:
    if os.getpid() != _worker_pid:  # the solo pool says so of the worker itself
        prefork.note_child()
        ignore_in_pool_process()
        prefork.stop_with_parent(lambda: runtime().stop())


def _set_up_logging(**_: Any) -> None:
    global _logs
    if not _logs:
        _logs = True
        observability.setup(settings_or_exit())
        traces.start(foreign_environ())


def _fit_to_pool(sender: Any, **_: Any) -> None:
    if getattr(sender.pool_cls, "is_green", False):
        # SystemExit, because Celery only logs what else a receiver raises.
        sys.exit(
            "aigc: use --pool threads: green pools share one thread with the heartbeat, so a worker that"
            " works hard would be declared dead, and what it holds would be given to others"
        )
    try:
        settings = settings_or_exit()
        descriptors.reserve(settings.concurrency, follows=settings.follow is not None)
    except descriptors.TooFew as problem:
        sys.exit(f"aigc: {problem}")
    leave_where_kept_out(settings_or_exit())
    # Each speaks to the broker on its own: a worker that stops while Redis is away would wait for ever.
    sender.options.update(without_heartbeat=True, without_gossip=True, without_mingle=True)
    if sender.pool_cls.__module__.rpartition(".")[2] == "prefork":
        prefork.let_children_process()
        runtime().flow_control.let_others_judge()


def _introduce(**_: Any) -> None:
    settings = settings_or_exit()
    log.info(
        "this worker takes %s at %s, publishes %s, posts to %s, at most %d at a time",
        settings.queue,
        settings.redis_place(),
        settings.results,
        settings.endpoint,
        settings.concurrency,
    )
    if settings.follow is not None:
        log.info(
            "it follows tasks, at most %g queries a second of all workers; it publishes %s and keeps %s",
            settings.follow.query_rate_per_s,
            settings.outputs,
            "their files" if settings.store else "no files",
        )
    elif settings.store is not None:
        log.warning("AIGC_STORE_URL is set, and AIGC_FOLLOW is off: no task is followed, and no file kept")


def _begin_to_stop(**_: Any) -> None:
    runtime().stop()
    prefork.stop_pool()


def _say_goodbye(**_: Any) -> None:
    runtime().close()
    traces.flush()
    if prefork.is_child():
        observability.flush_log()  # its process ends without Python's own end
