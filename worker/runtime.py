"""What a worker process is made of, put together once for each process, when first used.

Nothing here runs at import: Celery's parent, its prefork children and the tests each get their own.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tasks.contract import queue_for
from tasks.envelope import BadJob, Job, jobs_of
from worker.alone import Alone
from worker.attempt import After
from worker.batch import Batch, Crew, Item
from worker.core.message import Message
from worker.core.retry import Policy
from worker.core.signing import Keys as SigningKeys
from worker.flights import Flights, path_of
from worker.gate import Gate
from worker.places import Places
from worker.settings import Settings, SettingsError, from_environ
from worker.store.claims import Carrier, Limits
from worker.store.doorbell import Doorbell
from worker.store.intake import Intake
from worker.store.journal import Journal
from worker.store.keys import Keys
from worker.store.members import Membership
from worker.store.scripts import Away, Scripts, StoreClosed
from worker.submit import Submitter
from worker.telemetry import Telemetry
from worker.upkeep import Upkeep
from worker.vendor import Vendor

log = logging.getLogger(__name__)


class Stuck(Exception):
    """A message that can neither be done nor given back at once: that would go round and round."""


class Runtime:
    """One process's journal, vendor client, gate and upkeep."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pid = os.getpid()
        self.stopping = threading.Event()
        self.gate = Gate(limited=bool(settings.rate_per_s or settings.max_inflight))
        keys = Keys(settings.queue, settings.results)
        self._scripts = Scripts(
            settings.redis_url, (keys.queue, keys.results), connections=2 * settings.concurrency + 16
        )
        self.members = Membership(self._scripts, keys)
        self._journal = Journal(self._scripts, keys, self.members, limits_of(settings))
        self.intake = self._intake(keys)
        self._telemetry = Telemetry()
        self._flights = Flights(path_of(self.members.home), most=2 * settings.concurrency)
        self._vendor = Vendor(
            settings.endpoint,
            SigningKeys(settings.access_key, settings.secret_key),
            connect_timeout_s=settings.connect_timeout_s,
            read_timeout_s=settings.read_timeout_s,
        )
        alone = Alone(self.gate)
        self._submitter = Submitter(
            journal=self._journal,
            vendor=self._vendor,
            policy=policy_of(settings),
            gate=self.gate,
            telemetry=self._telemetry,
            stopping=self.stopping,
            alone=alone,
            flights=self._flights,
            rejoin=self.members.rejoin,
        )
        self._places = Places(settings.concurrency)
        self._helpers = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="job")
        self._crew = Crew(
            self._submitter,
            self._vendor,
            self._places,
            self._helpers,
            self._submitter.run,
            self._crashed,
        )
        self._upkeep = Upkeep(
            self.members,
            self._scripts,
            self._journal,
            self.intake,
            self.gate,
            round(settings.journal_ttl_s),
            refused=lambda: alone.refused,
        )
        self._upkeep.start()

    def _intake(self, keys: Keys) -> Intake:
        client = self._scripts.client
        bells = [queue_for(keys.queue, "high"), keys.queue, queue_for(keys.queue, "low")]
        return Intake(self._scripts, keys, self.members, Doorbell(client, bells), self.gate.room_made)

    def work(self, delivery_tag: str, jobs: Sequence[Job | BadJob], expires_s: float | None = None) -> After:
        """Take the jobs of one delivered message one step on.

        Args:
            delivery_tag: ``<owner>/<list index>.<sequence>``, as the intake gave it.
            expires_s: seconds since the epoch after which the producer does not want it any more.

        Raises:
            StoreClosed: the worker stops while Redis is away; the message stays where it is.
            Stuck: the message should be taken again, but not at once.
        """
        if not self.members.owner:
            self.members.join()  # a prefork child, on its first message
        owner, _, tag = delivery_tag.partition("/")
        carrier = Carrier(owner, tag if len(jobs) == 1 else "", int(tag.partition(".")[0]), expires_s)
        if len(jobs) == 1:
            after = self.run_one(jobs[0], carrier, delivery_tag)
        else:
            after = self._run_batch(jobs, carrier, delivery_tag)
        if after is After.STUCK:
            raise Stuck(f"of message {delivery_tag} not all can go on")
        if after is After.KEPT and carrier.tag and not self.stopping.is_set() and not self._consumes():
            # A prefork child: its parent's gate does not know why, and would take the message again at once.
            self._journal.look_again(_plain(jobs[0]), carrier, CHILD_LOOK_AGAIN_S)
        elif after is After.KEPT:
            if not self._consumes():
                self.stopping.wait(1.0)  # a batch, in a prefork child: rather late than round and round
            self.intake.give_back(delivery_tag)
        elif after is not After.OVER:
            self.intake.done(delivery_tag)
        return after

    def _run_batch(self, jobs: Sequence[Job | BadJob], carrier: Carrier, delivery_tag: str) -> After:
        found: set[After] = set()

        def done(after: After) -> None:
            found.add(after)
            self.intake.job_done(delivery_tag)

        Batch(self._crew, [Item(job, carrier, done) for job in jobs]).run()
        return next((after for after in (After.STUCK, After.KEPT) if after in found), After.OVER)

    def work_together(self, messages: Sequence[Message]) -> None:
        """Take the jobs of these messages, one each, one step on.

        Raises:
            StoreClosed: the worker stops while Redis is away; what is not done stays where it is.
        """
        Batch(self._crew, [self._item(message) for message in messages]).run()

    def _item(self, message: Message) -> Item:
        name, (args, kwargs, _) = message.delivery_tag, message.arguments
        owner, _, tag = name.partition("/")

        def done(after: After) -> None:
            if after is After.KEPT:
                self.intake.give_back(name)
            elif after is After.OVER:
                self.intake.acknowledge(name)
            else:
                self.intake.done(name)

        job = jobs_of(message.task, message.job_id, args, kwargs, message.headers)[0]
        return Item(job, Carrier(owner, tag, int(tag.partition(".")[0]), message.expires_s), done)

    def run_one(self, job: Job | BadJob, carrier: Carrier, delivery_tag: str) -> After:
        """Take one job of a delivered message one step on; see :meth:`work`."""
        if not self._places.wait(self.stopping):
            self.intake.job_done(delivery_tag)
            return After.KEPT
        try:
            return self._submitter.run(job, carrier)
        except StoreClosed:
            raise
        except Exception:
            return self._crashed(job, carrier)
        finally:
            self._places.give_back()
            self.intake.job_done(delivery_tag)

    def _crashed(self, job: Job | BadJob, carrier: Carrier) -> After:
        # A fault of ours must neither lose the job nor spin with it. One that was being sent stays
        # claimed by this process, and is decided about when that ends.
        self._telemetry.keep_private(job.payload)
        self._telemetry.crashed(job.id)
        try:
            self._journal.look_again(_plain(job), carrier, FAULT_LOOK_AGAIN_S)
        except StoreClosed:
            raise
        except Exception:
            log.exception("job %s cannot even wait; its message stays", job.id)
            return After.STUCK
        return After.WAITS

    def _consumes(self) -> bool:
        return self.intake.is_looked_at()

    def stop(self) -> None:
        """Begin to stop: threads that wait for a slot, or for Redis, give their jobs back."""
        self.stopping.set()
        self._scripts.stop_waiting()

    def close(self) -> None:
        """End: give back what is left, and say goodbye."""
        self.stop()
        self._helpers.shutdown(wait=False, cancel_futures=True)
        if not self.members.owner:
            self._flights.close()
        else:
            try:
                self._upkeep.stop()
                self._flights.ground()
                given = self._scripts.patiently(self._upkeep.leave, "goodbye")
                self._flights.close()
                log.info("stopped; %d messages went back to the queue", max(0, given))
            except (StoreClosed, *Away):
                log.warning("Redis is away; what this worker held is taken over when it is back")
        self._vendor.close()
        self._scripts.close()


def _plain(job: Job | BadJob) -> Job:
    return job if isinstance(job, Job) else Job(job.id, job.payload, job.metadata)


def policy_of(settings: Settings) -> Policy:
    """The retry policy that the settings ask for."""
    return Policy(
        max_attempts=settings.max_attempts,
        base_s=settings.retry_base_s,
        cap_s=settings.retry_cap_s,
        deadline_s=settings.job_deadline_s,
        on_unknown=settings.on_unknown,
    )


def limits_of(settings: Settings) -> Limits:
    """The limits that all workers share, as the settings have them."""
    return Limits(
        max_inflight=settings.max_inflight or 0,
        interval_ms=1000 / settings.rate_per_s if settings.rate_per_s else 0.0,
        workflow_interval_ms=tuple((name, 1000 / rate) for name, rate in settings.workflow_rates.items()),
        brake_after=settings.brake_after,
        brake_window_ms=round(1000 * settings.brake_window_s),
        probe_longest_ms=round(1000 * settings.probe_max_s),
        probe_takes_ms=round(1000 * (settings.connect_timeout_s + settings.read_timeout_s + 5)),
        results_maxlen=settings.results_maxlen,
        keep_s=round(settings.journal_ttl_s),
    )


FAULT_LOOK_AGAIN_S, CHILD_LOOK_AGAIN_S = 60.0, 10.0

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


def intake() -> Intake:
    """The intake of this process."""
    return runtime().intake


def gate() -> Gate:
    """The gate of this process."""
    return runtime().gate


def settings_or_exit() -> Settings:
    """The settings of this process; ends it with one line for each wrong variable."""
    global _settings
    if _settings is None:
        try:
            _settings = from_environ()
        except SettingsError as error:
            sys.exit("\n".join(f"aigc: {problem}" for problem in error.problems))
    return _settings
