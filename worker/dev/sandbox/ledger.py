"""What the sandbox remembers: every submit posted to it, and who was billed."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from worker.dev.sandbox.life import Life
from worker.dev.sandbox.rules import Rule

ACCEPTED: Final = "accepted"
AUTH_REFUSED: Final = "auth_refused"
PARAM_REFUSED: Final = "param_refused"
ANSWERED: Final = "answered"

REMEMBERED_IDS: Final = 100_000
"""Request ids of queries that are remembered."""


class Task(NamedTuple):
    """What becomes of an accepted post. Tasks that are alike share this: it is kept with each of them."""

    workflow: str
    life: Life
    rules: tuple[Rule, ...]
    """Those of its body that strike its queries and its file."""


class Post(NamedTuple):
    """One POST to the submit path, however it ended."""

    arrived: float
    """Monotonic seconds: comparable with ``time.monotonic()`` of any process on this machine."""
    outcome: str
    """:data:`ACCEPTED`, :data:`AUTH_REFUSED`, :data:`PARAM_REFUSED` or the fault's kind."""
    request_id: str
    body_sha256: bytes
    task_id: str | None
    """Set where the job was accepted, and so is paid for, whether or not the answer said so."""
    body: bytes | None
    task: Task | None = None
    """Set where ``task_id`` is."""

    def to_json(self) -> dict[str, Any]:
        """The post as the control API shows it."""
        return {
            "taskId": self.task_id,
            "requestId": self.request_id,
            "sha256": self.body_sha256.hex(),
            "outcome": self.outcome,
            "arrived": self.arrived,
            "body": None if self.body is None else self.body.decode("utf-8", "replace"),
        }


class Ledger:
    """Counters over everything, and the newest ``history`` posts one by one."""

    def __init__(self, history: int) -> None:
        self.posts: deque[Post] = deque()
        self.count = 0
        self.accepted = 0
        self.outcomes: Counter[str] = Counter()
        self.accepted_by_body: Counter[bytes] = Counter()
        self._history = history
        self._by_task_id: dict[str, Post] = {}
        self._request_ids: set[str] = set()

    def record(self, post: Post) -> None:
        """Add a post; one that failed the signature check does not use its request id up."""
        if len(self.posts) >= self._history:
            self._forget(self.posts.popleft())
        self.posts.append(post)
        self.count += 1
        self.outcomes[post.outcome] += 1
        if post.outcome != AUTH_REFUSED:
            self._request_ids.add(post.request_id)
        if post.task_id is not None:
            self._by_task_id[post.task_id] = post
            self.accepted += 1
            self.accepted_by_body[post.body_sha256] += 1

    def know(self, task_id: str, task: Task) -> None:
        """Add a task of which there is no post."""
        self._by_task_id[task_id] = Post(time.monotonic(), ACCEPTED, "", b"", task_id, None, task)

    def _forget(self, post: Post) -> None:
        self._request_ids.discard(post.request_id)
        if post.task_id is not None:
            self._by_task_id.pop(post.task_id, None)

    def has_seen(self, request_id: str) -> bool:
        """Whether an authentic post carried this request id before."""
        return request_id in self._request_ids

    def task(self, task_id: str) -> Post | None:
        """The post that was given this task id."""
        return self._by_task_id.get(task_id)

    def totals(self) -> dict[str, Any]:
        """Posts, money and outcomes as plain numbers."""
        return {
            "posts": self.count,
            "accepted": self.accepted,
            "unique_bodies": len(self.accepted_by_body),
            "duplicates": self.accepted - len(self.accepted_by_body),
            "by_outcome": dict(self.outcomes),
        }


class QueryLog:
    """Counters over all queries, and when the newest ``history`` came."""

    def __init__(self, history: int) -> None:
        self.arrivals: deque[float] = deque(maxlen=history)
        self.count = 0
        self.outcomes: Counter[str] = Counter()
        self._request_ids: OrderedDict[str, None] = OrderedDict()

    def record(self, arrived: float, outcome: str, request_id: str) -> None:
        """Add a query; one that failed the signature check does not use its request id up."""
        self.arrivals.append(arrived)
        self.count += 1
        self.outcomes[outcome] += 1
        if outcome != AUTH_REFUSED:
            self._request_ids[request_id] = None
            if len(self._request_ids) > REMEMBERED_IDS:
                self._request_ids.popitem(last=False)

    def has_seen(self, request_id: str) -> bool:
        """Whether one of the last authentic queries carried this request id."""
        return request_id in self._request_ids

    def to_json(self, window_s: float) -> dict[str, Any]:
        """Counters, arrivals, and how many came in each second of the monotonic clock in which any did."""
        return {
            "queries": self.count,
            "by_outcome": dict(self.outcomes),
            "arrivals": list(self.arrivals),
            "per_second": {str(second): n for second, n in Counter(map(int, self.arrivals)).items()},
            "busiest_window": busiest(self.arrivals, window_s),
        }


def busiest(times: Iterable[float], window_s: float) -> int:
    """The most events in any half-open window of ``window_s`` seconds; ``times`` ascend."""
    inside: deque[float] = deque()
    most = 0
    for each in times:
        inside.append(each)
        while each - inside[0] >= window_s:
            inside.popleft()
        most = max(most, len(inside))
    return most
