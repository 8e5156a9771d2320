"""What an earlier version left in Redis and on disk, put back, and what this version does about it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.contract import DEFAULT_QUEUE
from tests.conditions import until
from tests.integration.followed import FOLLOWING, open_tasks, task_record
from tests.integration.stage import Stage
from tests.integration.webhook_endpoint import KEYS, NAMES, ShopEndpoint
from tests.upgrade.services import Commands, Events
from worker.store.forward_stats import forwards
from worker.store.task_record import TASK_FIELDS


@dataclass
class Left:
    """What was left, with a worker of this version that has finished it."""

    stage: Stage
    about: dict[str, Any]
    endpoint: ShopEndpoint
    commands: Commands
    answers: list[dict[str, Any]] = field(default_factory=list)
    """To product events: two before the worker began, one at the end."""

    @property
    def follows(self) -> bool:
        """Whether that version followed tasks, and had services for webhooks and events."""
        return bool(self.about.get("follows"))

    @property
    def purchases(self) -> set[str]:
        """Jobs of product events and of a catalogue."""
        if not self.follows:
            return set()
        (changed,) = self.answers[1]["queued"]
        return {changed, self.about["events"]["kept"], *self.about["catalogue"]}

    def have_ended(self) -> bool:
        """Whether all jobs have."""
        return self.results().keys() >= {*self.about["payloads"], *self.purchases}

    def posts(self, job_id: str) -> int:
        return len(self.stage.vendor.posts_of(self.about["payloads"][job_id]))

    def results(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for result in self.stage.results():
            found.setdefault(result["jobId"], []).append(result)
        return found

    def finish(self) -> None:
        """All that a worker and the services of this version do about it."""
        redis = self.stage.redis
        if self.follows:
            with self._shop() as shop:  # the same event again; a later one of another product
                self.answers = [shop.send(2, 2, "2"), shop.send(3, 1, "3")]
        redis.delete(f"{DEFAULT_QUEUE}:paused")
        for job_id in redis.zrange(f"{DEFAULT_QUEUE}:waiting", 0, -1):
            redis.zadd(f"{DEFAULT_QUEUE}:waiting", {job_id: 1})  # due long ago
        self._set_times()
        folder = f"file://{self.stage.directory}/pictures"
        self.stage.worker(JOB_DEADLINE_S=10**9, CALLBACK_QUEUE="shop", STORE_URL=folder, **FOLLOWING)
        until(self.have_ended, "all jobs to have ended")
        self.stage.drain()
        until(lambda: not open_tasks(self.stage), "all tasks to have ended")
        if self.follows:
            with self._shop() as shop:
                self.answers.append(shop.send(4, 2, "2"))
            with self.commands.forwarding(self.endpoint.url):
                until(self._is_forwarded, "all to be forwarded")

    def _shop(self) -> AbstractContextManager[Events]:
        return self.commands.taking_events(Path(self.stage.directory, "events"))

    def _set_times(self) -> None:
        """However old the recording is, one task is not due yet, and no file is given up for its age.

        Nor is a task old: of one that is, a query that fails is repeated only minutes later.
        """
        redis = self.stage.redis
        now_ms = int(redis.time()[0]) * 1000
        for task_id in open_tasks(self.stage):
            redis.hset(f"{DEFAULT_QUEUE}:task:{task_id}", TASK_FIELDS["accepted_ms"].stored, now_ms)
            if task_record(self.stage, task_id)[b"j"] == b"task-open":
                redis.zadd(f"{DEFAULT_QUEUE}:tasks:open", {task_id: now_ms + 2000})
        for task_id in redis.zrange(f"{DEFAULT_QUEUE}:tasks:unstored", 0, -1):
            redis.zadd(f"{DEFAULT_QUEUE}:tasks:unstored", {task_id: now_ms})

    def stands(self) -> dict[str, Any]:
        """How the endpoint stands."""
        (found,) = forwards(self.stage.redis, KEYS, NAMES)
        return found

    def _is_forwarded(self) -> bool:
        stands = self.stands()
        return not (stands["backlog"] or stands["pending"] or stands["waiting"])
