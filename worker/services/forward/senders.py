"""The attempts in flight: threads that send, and their answers as they come."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from worker.services.forward.answers import Answer, of_failure
from worker.services.forward.backlog import Item
from worker.services.forward.webhook import Webhook

Post = Callable[[Webhook], Answer]


class Senders:
    """Sends with at most so many threads; used from one thread."""

    def __init__(self, post: Post, concurrency: int) -> None:
        self._post = post
        self._concurrency = concurrency
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="send")
        self._answers: queue.SimpleQueue[tuple[Item, Answer]] = queue.SimpleQueue()
        self.in_flight = 0

    @property
    def is_full(self) -> bool:
        return self.in_flight >= self._concurrency

    def send(self, item: Item, webhook: Webhook) -> None:
        """Begin an attempt."""
        self.in_flight += 1
        self._pool.submit(self._attempt, item, webhook)

    def answers(self, wait_s: float) -> Iterator[tuple[Item, Answer]]:
        """What has been answered, after waiting for the first one for so long at most."""
        while self.in_flight:
            try:
                answer = self._answers.get(timeout=wait_s) if wait_s else self._answers.get_nowait()
            except queue.Empty:
                return
            self.in_flight -= 1
            wait_s = 0.0
            yield answer

    def close(self) -> None:
        """Wait for the threads to end."""
        self._pool.shutdown()

    def _attempt(self, item: Item, webhook: Webhook) -> None:
        try:
            answer = self._post(webhook)
        except BaseException as error:  # an item without an answer would be in flight for ever
            answer = of_failure(f"a fault of this program ({type(error).__name__})")
        self._answers.put((item, answer))
