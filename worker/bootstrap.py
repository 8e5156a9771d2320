"""What a worker process is made of, put together once for each process, when first used.

Nothing here runs at import: Celery's parent, its prefork children and the tests each get their own.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tasks.contract import queue_for
from tasks.declared import current as declared_workflows
from tasks.exceptions import SettingsError
from worker.config.settings import Settings, from_environ
from worker.from_settings import (
    client_of,
    folder_of,
    follower_of,
    image_checks_of,
    keys_of,
    limited_names,
    limits_of,
    policy_of,
    spans_of,
)
from worker.local import description, prefork, process_identity
from worker.local.inflight_log import InflightLog
from worker.maintenance.heartbeat import Heartbeat
from worker.maintenance.history_recorder import HistoryRecorder
from worker.maintenance.janitor import Janitor
from worker.maintenance.promoter import Promoter
from worker.maintenance.recoverer import Recoverer
from worker.maintenance.scheduler import Duty, Scheduler
from worker.maintenance.workflow_recorder import WorkflowRecorder
from worker.observability import Reporter, log_trouble
from worker.processing.first_attempt import FirstAttemptGuard
from worker.processing.flow_control import FlowControl
from worker.processing.loop import Loop
from worker.processing.redis_outage import RedisOutage
from worker.processing.settlement_guard import SettlementGuard
from worker.processing.surroundings import Surroundings
from worker.store.arrivals import ArrivalWatcher
from worker.store.jobs import JobStore
from worker.store.linked import LinkedJobs
from worker.store.queue import MessageQueue
from worker.store.recovery import Recovery
from worker.store.redis_wait import Away, StoreClosed
from worker.store.revocations import POLLED_EVERY_S, Revocations
from worker.store.scripts import Scripts, connect
from worker.store.selftest import kept_out, refusals
from worker.store.slots import SlotWatcher
from worker.store.workers import WorkerRegistry
from worker.store.workflows import SeenWorkflows, of_rates, unseen

log = logging.getLogger(__name__)

ELSEWHERE = "its in-flight log is in {}, for AIGC_STATE_DIR cannot be used: it may be gone with the container"
NO_LOG = "no in-flight log is kept: after a kill, all its attempts in flight are unknown (AIGC_STATE_DIR)"


class Runtime:
    """One process's parts, and their beginning and end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        declared_workflows.use(settings.workflows)
        description.note_workflows(settings.workflows.digest)
        self.pid = os.getpid()
        self.stopping = threading.Event()
        self.flow_control = FlowControl(limited=bool(settings.rate_per_s or settings.max_inflight))
        self._keys = keys = keys_of(settings)
        self._scripts = Scripts(
            settings.redis_url, (keys.queue, keys.results), connections=2 * settings.concurrency + 16
        )
        description.note_scripts(self._scripts.digest)
        self._folder = folder_of(settings)
        self.registry = WorkerRegistry(self._scripts, keys, self._is_gone)
        self.job_store = JobStore(self._scripts, keys, self.registry, limits_of(settings))
        self.linked = LinkedJobs(self._scripts, keys)
        self._arrivals = ArrivalWatcher(self._scripts.client, _enqueued_to(keys.queue))
        self.queue = self._queue()
        self._reporter = Reporter()
        self._inflight = InflightLog(self._folder.of(self.registry.identity), most=2 * settings.concurrency)
        # Of a pool of processes the parent tells, for all.
        self.outage = RedisOutage(None if prefork.is_child() else self._reporter)
        self.guard = SettlementGuard(
            lambda: self._scripts.troubles, lambda: refusals(self._scripts.client, keys), self._reporter
        )
        self._first_attempt = FirstAttemptGuard(self.flow_control)
        self._workflows = SeenWorkflows()
        self._client = client_of(settings)
        self._image_checks = image_checks_of(settings)
        self._helpers = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="connect")
        self.loop = Loop(self._surroundings(), self.queue, self._client, self._helpers, self._stop_worker)
        self._recoverer = self._recovers()
        self._revocations = Revocations(self._scripts.client, settings.queue)
        self._maintenance = Scheduler("maintenance", self._duties(), self._has_joined)
        self._heartbeat = Heartbeat(
            self.registry,
            self._moves,
            refusal=lambda: self._first_attempt.refusal,
            trouble=self._trouble,
            outage=self.outage,
        )
        # Of a pool of processes the parent follows, for all.
        self._follower = None if prefork.is_child() else follower_of(settings, self._scripts, self._owner)
        self._heartbeat.start()
        self._maintenance.start()
        if self._follower is not None:
            self._follower.start()

    def _duties(self) -> list[Duty]:
        promoter = Promoter(self._scripts, self.flow_control, self._reporter)
        keep_s, limited = round(self.settings.journal_ttl_s), limited_names(self.settings)
        janitor = Janitor(self.registry, self._scripts, keep_s, partial(self._misspelt, limited))
        recorder = WorkflowRecorder(self._scripts, self._keys, self._workflows)
        duties = [*promoter.duties, *self._recoverer.duties, *recorder.duties, *janitor.duties]
        if prefork.is_child():
            return duties
        # A prefork child's parent hears of revocations, and keeps the history, for all.
        history = HistoryRecorder(self._scripts, self._keys)
        return [*duties, *history.duties, Duty(self._revocations.poll, POLLED_EVERY_S)]

    def _misspelt(self, limited: tuple[str, ...]) -> list[str]:
        return of_rates(unseen(self._scripts.client, self._keys, limited))

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            policy=policy_of(self.settings),
            concurrency=self.settings.concurrency,
            job_store=self.job_store,
            reporter=self._reporter,
            inflight=self._inflight,
            flow_control=self.flow_control,
            first_attempt=self._first_attempt,
            guard=self.guard,
            slots=self._slot_watcher(),
            workflows=self._workflows,
            image_checks=self._image_checks,
            spans=spans_of(self.settings),
            rejoin=self.registry.rejoin,
        )

    def _slot_watcher(self) -> SlotWatcher:
        return SlotWatcher(
            self._scripts.client,
            key_of=lambda: self._keys.wake(self.registry.owner),
            notify=lambda: self.loop.wake(),
        )

    def _recovers(self) -> Recoverer:
        return Recoverer(
            self.registry,
            self._scripts,
            Recovery(self._scripts, self._keys, self.job_store),
            self.queue,
            self._folder,
            self._inflight,
        )

    def _owner(self) -> str:
        return self.registry.owner

    def _has_joined(self) -> bool:
        return bool(self.registry.owner)

    def _queue(self) -> MessageQueue:
        return MessageQueue(
            self._scripts,
            self._keys,
            self.registry,
            self._arrivals,
            self.flow_control.room_made,
            limits_of(self.settings),
        )

    def _is_gone(self, process: str) -> bool:
        return _first_known(self._folder.is_gone(process), process_identity.is_gone(process))

    def _moves(self) -> bool:
        """Whether this process works: its heartbeat goes on whatever its other threads do."""
        return self.queue.is_looked_at() and not self.loop.trouble()

    def _trouble(self) -> str:
        """What an operator should know of this process beside what it does."""
        path = self._folder.path
        elsewhere = path not in (None, Path(self.settings.state_dir))
        kept = (ELSEWHERE.format(path) if elsewhere else "") if self._inflight.is_kept else NO_LOG
        parts = (self.loop, self.guard, self._first_attempt)
        return "; ".join(filter(None, (*(part.trouble() for part in parts), log_trouble(), kept)))

    def _stop_worker(self) -> None:
        """The loop has ended by a fault: end the worker softly, so that its supervisor starts another."""
        os.kill(os.getppid() if prefork.is_child() else os.getpid(), signal.SIGTERM)

    def stop(self) -> None:
        """Begin to stop: what is in flight is finished, the rest is given back."""
        self.stopping.set()
        self._arrivals.end()
        self._scripts.stop_waiting()
        self.loop.stop()
        if self._follower is not None:
            self._follower.stop()

    def _leave(self) -> bool:
        """Say goodbye to the other workers; whether they have heard it."""
        try:
            # The heartbeat last: whoever is silent meanwhile is taken over.
            self._maintenance.stop()
            self._revocations.close()
            self._heartbeat.stop()
            self._inflight.forbid()
            given = self._scripts.patiently(self._recoverer.leave, "goodbye")
        except (StoreClosed, *Away):
            log.warning("Redis is away, or refuses; what this worker held is taken over when it is back")
            return False
        log.info("stopped; %d messages went back to the queue", max(0, given))
        return True

    def close(self) -> None:
        """End: finish what is in flight, give back what is left, and say goodbye."""
        self.stop()
        self.loop.join()
        if self._follower is not None:
            self._follower.close()
        if self._image_checks is not None:
            self._image_checks.close()
        self._helpers.shutdown(wait=False, cancel_futures=True)
        left = not self.registry.owner or self._leave()
        self._inflight.close(keep=not left)
        self._client.close()
        self._scripts.close()


def _enqueued_to(queue: str) -> list[str]:
    return [queue_for(queue, "high"), queue, queue_for(queue, "low")]


def _first_known(*answers: bool | None) -> bool:
    return next((answer for answer in answers if answer is not None), False)


_runtime: Runtime | None = None
_settings: Settings | None = None
_lock = threading.Lock()


def runtime() -> Runtime:
    """This process's runtime, made on first use."""
    global _runtime
    if _runtime is None or _runtime.pid != os.getpid():
        with _lock:
            if _runtime is None or _runtime.pid != os.getpid():
                try:
                    _runtime = Runtime(settings_or_exit())
                except ValueError as error:  # the environment's proxy or CA bundle
                    sys.exit(f"aigc: {error}")
    return _runtime


def leave_where_kept_out(settings: Settings) -> None:
    """End this process, with the remedy, where Redis keeps it out until somebody mends that.

    Only as it begins. Later the same is waited out: then there are jobs in hand.
    """
    keys = keys_of(settings)
    client = connect(settings.redis_url, connections=1)
    try:
        reasons = kept_out(client, keys)
    finally:
        client.close()
    if reasons:
        sys.exit("\n".join(f"aigc: {settings.redis_place()}: {reason}" for reason in reasons))


def settings_or_exit() -> Settings:
    """The settings of this process; ends it with one line for each wrong variable."""
    global _settings
    if _settings is None:
        try:
            _settings = from_environ()
        except SettingsError as error:
            sys.exit("\n".join(f"aigc: {problem}" for problem in error.problems))
    return _settings
