"""The loop: the thread that runs the pipeline, and what becomes of each message once its jobs are done."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from typing import Final

from tasks.envelope import InvalidJob, Job, jobs_of
from worker.domain.message import Message
from worker.processing.network import Network
from worker.processing.pipeline import Pipeline
from worker.processing.surroundings import Surroundings
from worker.processing.values import Attempt, Disposition, Received, Run
from worker.processing.wakeup import Wakeup
from worker.store.queue import MessageQueue
from worker.store.redis_wait import StoreClosed
from worker.store.values import Acknowledgement, Delivery, Release
from worker.vendor import Client

log = logging.getLogger(__name__)

STANDSTILL_S: Final = 20.0
"""A round takes one round trip to Redis, 10 s at most: one that takes this long will not end by itself."""


class Loop:
    """The pipeline of one process in a thread of its own, begun with the first message. Thread-safe.

    Args:
        queue: holds the messages until they are done.
        client: sends signed POSTs.
        helpers: threads that connect.
        failed: called where the loop ends by a fault of this program.
    """

    def __init__(
        self,
        around: Surroundings,
        queue: MessageQueue,
        client: Client,
        helpers: Executor,
        failed: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._failed = failed
        self._spans = around.spans
        self._wakeup = Wakeup()
        self._network: Network[tuple[Run, Attempt]] = Network(client, helpers, self._wakeup)
        self._pipeline = Pipeline(around, self._network)
        self._inbox: deque[list[Run]] = deque()
        self._releases: dict[str, list[str]] = {}
        self._callers: dict[Future[Disposition], None] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._slot_is_free = False
        self._ended = False

    def accept(self, messages: Sequence[Message]) -> None:
        """Process messages with which nothing but the queue has to do."""
        for message in messages:
            args, kwargs, _ = message.arguments
            jobs = jobs_of(message.task, message.job_id, args, kwargs, message.headers)
            received = self._received(message.delivery_tag, len(jobs), self._finisher(message.delivery_tag))
            self._put(received, jobs, message.expires_s)
        self._wakeup.set()

    def process(
        self, name: str, jobs: Sequence[Job | InvalidJob], expires_s: float | None, linked: bool = False
    ) -> Disposition:
        """Process a message for a caller who waits, and sees to the message.

        Args:
            name: the message's, ``<owner>/<list index>.<sequence>``.
            expires_s: seconds since the epoch after which the producer does not want it any more.
            linked: its one job's end does not delete it.

        Raises:
            StoreClosed: the worker stops while Redis is away; the message stays where it is.
        """
        future: Future[Disposition] = Future()
        with self._lock:
            if self._ended:
                raise StoreClosed("process")
            self._callers[future] = None
        self._put(self._received(name, len(jobs), future.set_result), jobs, expires_s, linked)
        self._wakeup.set()
        try:
            return future.result()
        finally:
            self._callers.pop(future, None)

    def wake(self) -> None:
        """A slot in flight may be free for which this worker waits."""
        self._slot_is_free = True
        self._wakeup.set()

    def stop(self) -> None:
        """Begin to stop: give back what is not sent, finish what is in flight. Does not wait."""
        self._stopping = True
        self._wakeup.set()

    def join(self) -> None:
        """Wait until all that is in flight is settled, or Redis has been away for too long."""
        self.stop()
        if self._thread is not None:
            self._thread.join()

    def trouble(self) -> str:
        """In words that no job goes on, for a round of the loop does not end; empty where it does."""
        since = self._network.busy_since
        if since is None or self._ended or (stands_s := time.monotonic() - since) < STANDSTILL_S:
            return ""
        return f"no job has gone on for {stands_s:.0f} s: SIGUSR1 has it log where its threads stand"

    def _received(self, name: str, jobs: int, done: Callable[[Disposition], None]) -> Received:
        return Received(name, jobs, self._queue.job_done, done)

    def _put(
        self,
        received: Received,
        jobs: Sequence[Job | InvalidJob],
        expires_s: float | None,
        linked: bool = False,
    ) -> None:
        owner, _, tag = received.name.partition("/")
        index = int(tag.partition(".")[0])
        delivery = Delivery(owner, tag if len(jobs) == 1 else "", index, expires_s, linked)
        if self._spans is not None:
            jobs = self._spans.delivered(received, jobs)
        self._inbox.append([Run(job, delivery, received) for job in jobs])
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._network.busy_since = time.monotonic()
                    thread = threading.Thread(target=self._run, name="loop", daemon=True)
                    thread.start()  # where it cannot be, the next message tries again
                    self._thread = thread

    def _run(self) -> None:
        pipeline = self._pipeline
        try:
            while True:
                self._take_inbox()
                pipeline.advance()
                if self._releases:
                    self._release()
                if self._stopping and pipeline.idle and not self._inbox:
                    break
                pipeline.wait()
        except StoreClosed:
            pipeline.note_answers()
        except BaseException:
            log.critical("a fault of this program: no job goes on; the worker stops", exc_info=True)
            self._failed()
            pipeline.note_answers()
            with contextlib.suppress(Exception):  # what is not written down, its in-flight log may tell
                pipeline.write_rest()
        finally:
            self._end()

    def _take_inbox(self) -> None:
        pipeline = self._pipeline
        pipeline.stopping = self._stopping
        if self._slot_is_free:
            self._slot_is_free = False
            pipeline.admission.slot_may_be_free()
        while self._inbox:
            for run in self._inbox.popleft():
                pipeline.receive(run)

    def _end(self) -> None:
        with self._lock:
            self._ended = True
            callers = list(self._callers)
        for future in callers:
            if not future.done():
                future.set_exception(StoreClosed("process"))

    def _finisher(self, name: str) -> Callable[[Disposition], None]:
        def finish(disposition: Disposition) -> None:
            owner, _, tag = name.partition("/")
            if disposition is Disposition.REQUEUE:
                self._releases.setdefault(owner, []).append(tag)
            elif disposition is Disposition.ACKNOWLEDGE:
                done = Acknowledgement(owner, tag)
                self._pipeline.write(done, lambda: self._queue.done(name))
            else:
                self._queue.done(name)

        return finish

    def _release(self) -> None:
        """Give messages back, all of a round together: so they keep their order."""
        for owner, tags in self._releases.items():
            release = Release(owner, tuple(reversed(tags)))
            self._pipeline.write(release, partial(self._released, owner, tags))
        self._releases.clear()

    def _released(self, owner: str, tags: Sequence[str]) -> None:
        for tag in tags:
            self._queue.done(f"{owner}/{tag}")
