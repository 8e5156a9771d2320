"""What a worker process is made of, put together once for each process, when first used.

Nothing here runs at import: Celery's parent, its prefork children and the tests each get their own.
"""

from __future__ import annotations

import logging
import mmap
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tasks.contract import queue_for
from worker.config.settings import Settings, SettingsError, from_environ
from worker.domain.retry import Policy
from worker.domain.signing import Credentials
from worker.local import process_identity
from worker.local.inflight_log import Folder, InflightLog, usable
from worker.maintenance.heartbeat import Heartbeat
from worker.maintenance.janitor import Janitor
from worker.maintenance.promoter import Promoter
from worker.maintenance.recoverer import Recoverer
from worker.maintenance.scheduler import Duty, Scheduler
from worker.observability import Reporter
from worker.processing.deliveries import Deliveries
from worker.processing.first_attempt import FirstAttemptGuard
from worker.processing.flow_control import FlowControl
from worker.processing.judge import Judge
from worker.processing.places import Places
from worker.processing.settlement_guard import SettlementGuard
from worker.processing.submit import Submitter
from worker.store.arrivals import ArrivalWatcher
from worker.store.jobs import JobStore
from worker.store.keys import KeyNames
from worker.store.queue import MessageQueue
from worker.store.recovery import Recovery
from worker.store.retrying import Away, StoreClosed
from worker.store.scripts import Scripts
from worker.store.selftest import refusals
from worker.store.values import SharedLimits
from worker.store.workers import WorkerRegistry
from worker.vendor import Vendor

log = logging.getLogger(__name__)

ELSEWHERE = "its in-flight log is in {}, for AIGC_STATE_DIR cannot be used: it may be gone with the container"
RECOVER_EVERY_S, TIDY_EVERY_S = 3.0, 600.0
NO_LOG = "no in-flight log is kept: after a kill, all its attempts in flight are unknown (AIGC_STATE_DIR)"


class Runtime:
    """One process's journal, vendor client, flow control and maintenance."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pid = os.getpid()
        self.stopping = threading.Event()
        self.flow_control = FlowControl(limited=bool(settings.rate_per_s or settings.max_inflight))
        keys = KeyNames(settings.queue, settings.results)
        self._scripts = Scripts(
            settings.redis_url, (keys.queue, keys.results), connections=2 * settings.concurrency + 16
        )
        folder = folder_of(settings)
        elsewhere = folder.path not in (None, Path(settings.state_dir))
        self._kept_elsewhere = ELSEWHERE.format(folder.path) if elsewhere else ""
        self.registry = WorkerRegistry(
            self._scripts,
            keys,
            lambda process_id: _first_known(folder.is_gone(process_id), process_identity.is_gone(process_id)),
        )
        self._job_store = JobStore(self._scripts, keys, self.registry, limits_of(settings))
        self.message_queue = self._message_queue(keys)
        reporter = Reporter()
        self._inflight = InflightLog(folder.of(self.registry.process_id), most=2 * settings.concurrency)
        self.guard = SettlementGuard(
            lambda: self._scripts.troubles, lambda: refusals(self._scripts.client, keys), reporter
        )
        self._vendor = vendor_of(settings)
        self._first_attempt = FirstAttemptGuard(self.flow_control)
        self._helpers = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="job")
        self.deliveries = Deliveries(
            self._submitter(settings, reporter),
            self._vendor,
            self._job_store,
            self.message_queue,
            self.registry,
            reporter,
            self.stopping,
            places=Places(settings.concurrency),
            helpers=self._helpers,
        )
        self._heartbeat = Heartbeat(
            self.registry,
            self.message_queue.is_looked_at,
            refused=lambda: self._first_attempt.refused,
            trouble=self._trouble,
        )
        self._recoverer = Recoverer(
            self.registry,
            self._scripts,
            Recovery(self._scripts, keys, self._job_store),
            self.message_queue,
            folder,
            self._inflight,
        )
        self._maintenance = self._scheduler()
        self._heartbeat.start()
        self._maintenance.start()

    def _scheduler(self) -> Scheduler:
        janitor = Janitor(self.registry, self._scripts, round(self.settings.journal_ttl_s))
        duties = (
            Duty(Promoter(self._scripts, self.flow_control).promote, 0.0),
            Duty(self._recoverer.recover, RECOVER_EVERY_S),
            Duty(janitor.prune, TIDY_EVERY_S),
            Duty(janitor.look_after, TIDY_EVERY_S),
        )
        return Scheduler("maintenance", duties, ready=lambda: bool(self.registry.owner))

    def _submitter(self, settings: Settings, reporter: Reporter) -> Submitter:
        policy = policy_of(settings)
        return Submitter(
            job_store=self._job_store,
            vendor=self._vendor,
            policy=policy,
            flow_control=self.flow_control,
            reporter=reporter,
            stopping=self.stopping,
            first_attempt=self._first_attempt,
            judge=Judge(self._job_store, policy, reporter, self._first_attempt, self._inflight),
            inflight=self._inflight,
            guard=self.guard,
            rejoin=self.registry.rejoin,
        )

    def _message_queue(self, keys: KeyNames) -> MessageQueue:
        client = self._scripts.client
        bells = [queue_for(keys.queue, "high"), keys.queue, queue_for(keys.queue, "low")]
        return MessageQueue(
            self._scripts, keys, self.registry, ArrivalWatcher(client, bells), self.flow_control.room_made
        )

    def _trouble(self) -> str:
        """What an operator should know of this process beside what it does."""
        kept = self._kept_elsewhere if self._inflight.is_kept else NO_LOG
        return "; ".join(filter(None, (self.guard.trouble(), self._first_attempt.trouble(), kept)))

    def stop(self) -> None:
        """Begin to stop: threads that wait for a slot, or for Redis, give their jobs back."""
        self.stopping.set()
        self._scripts.stop_waiting()

    def _leave(self) -> bool:
        """Say goodbye to the other workers; whether they have heard it."""
        try:
            # The heartbeat last: whoever is silent meanwhile is taken over.
            self._maintenance.stop()
            self._heartbeat.stop()
            self._inflight.forbid()
            given = self._scripts.patiently(self._recoverer.leave, "goodbye")
        except (StoreClosed, *Away):
            log.warning("Redis is away, or refuses; what this worker held is taken over when it is back")
            return False
        log.info("stopped; %d messages went back to the queue", max(0, given))
        return True

    def close(self) -> None:
        """End: give back what is left, and say goodbye."""
        self.stop()
        self._helpers.shutdown(wait=False, cancel_futures=True)
        left = not self.registry.owner or self._leave()
        self._inflight.close(keep=not left)
        self._vendor.close()
        self._scripts.close()


def folder_of(settings: Settings) -> Folder:
    """Where the in-flight logs of this queue's workers on this machine are."""
    place = usable(Path(settings.state_dir), tempfile.gettempdir)
    return Folder(place, f"{settings.redis_place()} {settings.queue}", process_identity.boot())


def _first_known(*answers: bool | None) -> bool:
    return next((answer for answer in answers if answer is not None), False)


def vendor_of(settings: Settings) -> Vendor:
    """The vendor's client, as the settings have it."""
    return Vendor(
        settings.endpoint,
        Credentials(settings.access_key, settings.secret_key),
        connect_timeout_s=settings.connect_timeout_s,
        read_timeout_s=settings.read_timeout_s,
    )


def policy_of(settings: Settings) -> Policy:
    """The retry policy that the settings ask for."""
    return Policy(
        max_attempts=settings.max_attempts,
        base_s=settings.retry_base_s,
        cap_s=settings.retry_cap_s,
        deadline_s=settings.job_deadline_s,
        on_unknown=settings.on_unknown,
    )


def limits_of(settings: Settings) -> SharedLimits:
    """The limits that all workers share, as the settings have them."""
    return SharedLimits(
        max_inflight=settings.max_inflight or 0,
        interval_ms=1000 / settings.rate_per_s if settings.rate_per_s else 0.0,
        workflow_interval_ms=tuple((name, 1000 / rate) for name, rate in settings.workflow_rates.items()),
        breaker_after=settings.breaker_after,
        breaker_window_ms=round(1000 * settings.breaker_window_s),
        probe_longest_ms=round(1000 * settings.probe_max_s),
        probe_takes_ms=round(1000 * (settings.connect_timeout_s + settings.read_timeout_s + 5)),
        results_maxlen=settings.results_maxlen,
        keep_s=round(settings.journal_ttl_s),
    )


_stop_mark = mmap.mmap(-1, 1)
"""Shared with the processes of a prefork pool: not 0 once their worker has begun to stop."""

STOP_LOOK_S = 0.25


def stop_pool() -> None:
    """Let the processes of a prefork pool begin to stop, too. Not for one of them that ends by itself."""
    _stop_mark[0] = 1


def stop_with_parent() -> None:
    """In a process of a prefork pool: begin to stop when the worker does."""

    def watch() -> None:
        while not _stop_mark[0]:
            time.sleep(STOP_LOOK_S)
        runtime().stop()

    threading.Thread(target=watch, name="stop-with-parent", daemon=True).start()


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


def message_queue() -> MessageQueue:
    """The intake of this process."""
    return runtime().message_queue


def guard() -> SettlementGuard:
    """The settling guard of this process."""
    return runtime().guard


def flow_control() -> FlowControl:
    """The gate of this process."""
    return runtime().flow_control


def settings_or_exit() -> Settings:
    """The settings of this process; ends it with one line for each wrong variable."""
    global _settings
    if _settings is None:
        try:
            _settings = from_environ()
        except SettingsError as error:
            sys.exit("\n".join(f"aigc: {problem}" for problem in error.problems))
    return _settings
