"""What becomes of each message that was delivered: its jobs go one step on, and so does it.

Between Celery's tasks and the steps of a job. Whatever goes wrong in between, a message is never taken for
done before its jobs are.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Executor

from tasks.envelope import InvalidJob, Job, jobs_of
from worker.domain.message import Message
from worker.observability import Reporter
from worker.processing.batch import Batch
from worker.processing.batch_items import Crew, Item
from worker.processing.places import Places
from worker.processing.submit import Submitter
from worker.processing.values import Disposition
from worker.store.jobs import JobStore
from worker.store.queue import MessageQueue
from worker.store.retrying import StoreClosed
from worker.store.values import Delivery
from worker.store.workers import WorkerRegistry
from worker.vendor import Vendor

log = logging.getLogger(__name__)

FAULT_LOOK_AGAIN_S, CHILD_LOOK_AGAIN_S = 60.0, 10.0


class Stuck(Exception):
    """A message that can neither be done nor given back at once: that would go round and round."""


class Deliveries:
    """The messages that one process works on.

    Args:
        places: attempts at a time.
        helpers: threads for what a batch does not do itself.
    """

    def __init__(
        self,
        submitter: Submitter,
        vendor: Vendor,
        job_store: JobStore,
        message_queue: MessageQueue,
        registry: WorkerRegistry,
        reporter: Reporter,
        stopping: threading.Event,
        *,
        places: Places,
        helpers: Executor,
    ) -> None:
        self._job_store = job_store
        self._message_queue = message_queue
        self._registry = registry
        self._reporter = reporter
        self._stopping = stopping
        self._crew = Crew(submitter, vendor, places, helpers, self.crashed)

    def take_on(
        self, delivery_tag: str, jobs: Sequence[Job | InvalidJob], expires_s: float | None = None
    ) -> Disposition:
        """Take the jobs of one delivered message one step on.

        Args:
            delivery_tag: ``<owner>/<list index>.<sequence>``, as the intake gave it.
            expires_s: seconds since the epoch after which the producer does not want it any more.

        Raises:
            StoreClosed: the worker stops while Redis is away; the message stays where it is.
            Stuck: the message should be taken again, but not at once.
        """
        if not self._registry.owner:
            self._registry.join()  # a prefork child, on its first message
        owner, _, tag = delivery_tag.partition("/")
        delivery = Delivery(owner, tag if len(jobs) == 1 else "", int(tag.partition(".")[0]), expires_s)
        if len(jobs) == 1:
            after = self.run_one(jobs[0], delivery, delivery_tag)
        else:
            after = self._run_batch(jobs, delivery, delivery_tag)
        if after is Disposition.STUCK:
            raise Stuck(f"of message {delivery_tag} not all can go on")
        if (
            after is Disposition.KEPT
            and delivery.tag
            and not self._stopping.is_set()
            and not self._consumes()
        ):
            # A prefork child: its parent's gate does not know why, and would take the message again at once.
            self._job_store.look_again(_plain(jobs[0]), delivery, CHILD_LOOK_AGAIN_S)
        elif after is Disposition.KEPT:
            if not self._consumes():
                self._stopping.wait(1.0)  # a batch, in a prefork child: rather late than round and round
            self._message_queue.give_back(delivery_tag)
        elif after is not Disposition.OVER:
            self._message_queue.done(delivery_tag)
        return after

    def _run_batch(
        self, jobs: Sequence[Job | InvalidJob], delivery: Delivery, delivery_tag: str
    ) -> Disposition:
        found: set[Disposition] = set()

        def done(after: Disposition) -> None:
            found.add(after)
            self._message_queue.job_done(delivery_tag)

        Batch(self._crew, [Item(job, delivery, done) for job in jobs]).run()
        return next(
            (after for after in (Disposition.STUCK, Disposition.KEPT) if after in found), Disposition.OVER
        )

    def take_on_together(self, messages: Sequence[Message]) -> None:
        """Take the jobs of these messages, one each, one step on.

        Raises:
            StoreClosed: the worker stops while Redis is away; what is not done stays where it is.
        """
        Batch(self._crew, [self._item(message) for message in messages]).run()

    def _item(self, message: Message) -> Item:
        name, (args, kwargs, _) = message.delivery_tag, message.arguments
        owner, _, tag = name.partition("/")

        def done(after: Disposition) -> None:
            if after is Disposition.KEPT:
                self._message_queue.give_back(name)
            elif after is Disposition.OVER:
                self._message_queue.acknowledge(name)
            else:
                self._message_queue.done(name)

        job = jobs_of(message.task, message.job_id, args, kwargs, message.headers)[0]
        return Item(job, Delivery(owner, tag, int(tag.partition(".")[0]), message.expires_s), done)

    def run_one(self, job: Job | InvalidJob, delivery: Delivery, delivery_tag: str) -> Disposition:
        """Take one job of a delivered message one step on; see :meth:`take_on`."""
        if not self._crew.places.wait(self._stopping):
            self._message_queue.job_done(delivery_tag)
            return Disposition.KEPT
        working = self._crew.submitter.working
        working.enter(job.id)
        try:
            return self._crew.submitter.run(job, delivery)
        except StoreClosed:
            raise
        except Exception:
            return self.crashed(job, delivery)
        finally:
            working.leave(job.id)
            self._crew.places.give_back()
            self._message_queue.job_done(delivery_tag)

    def crashed(self, job: Job | InvalidJob, delivery: Delivery) -> Disposition:
        """Keep a job that a fault of ours, the exception being handled, has hit; do not spin with it.

        One that was being sent stays claimed by this process, and is decided about when that ends.
        """
        self._reporter.keep_private(job.payload)
        self._reporter.crashed(job.id)
        try:
            self._job_store.look_again(_plain(job), delivery, FAULT_LOOK_AGAIN_S)
        except StoreClosed:
            raise
        except Exception:
            log.exception("job %s cannot even wait; its message stays", job.id)
            return Disposition.STUCK
        return Disposition.WAITS

    def _consumes(self) -> bool:
        return self._message_queue.is_looked_at()


def _plain(job: Job | InvalidJob) -> Job:
    return job if isinstance(job, Job) else Job(job.id, job.payload, job.metadata)
