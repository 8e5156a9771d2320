"""What Redis knows of jobs that are about to be submitted, for a quote; it may be away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tasks import broker
from tasks.clients import reported
from tasks.dedupe import holders
from tasks.exceptions import BrokerUnavailable
from worker.cli.extras import missing
from worker.cli.quote import Pace
from worker.config.settings import limits_from_environ
from worker.store.keys import KeyNames
from worker.store.purchases import bought

if TYPE_CHECKING:
    from tasks import Submission
    from worker.cli.submit_source import Source

T = TypeVar("T")


class Known:
    """Asks Redis until it does not answer once; from then on nothing is known, and a note says so.

    Raises SettingsError where a limit, or one of the broker's settings, cannot be right.
    """

    def __init__(self) -> None:
        settings = broker.settings()
        self._keys = KeyNames(settings.queue, settings.results)
        self._limits = limits_from_environ()
        self._is_away = False
        self.notes: list[str] = []

    def held(self, jobs: Sequence[Submission]) -> list[bool] | None:
        """Of each job, whether an earlier run bought it or queued it, by its key or its id."""
        by_key = [job.dedupe_key for job in jobs if job.dedupe_key is not None]
        by_id = [job.job_id for job in jobs if job.dedupe_key is None and job.job_id is not None]
        found = self._ask(lambda: (holders(by_key), self._bought(by_id)))
        if found is None:
            return None
        of_keys, of_ids = found
        holder = dict(zip(by_key, of_keys, strict=True))
        is_bought = dict(zip(by_id, of_ids, strict=True))
        return [
            holder[job.dedupe_key] is not None
            if job.dedupe_key is not None
            else job.job_id is not None and is_bought[job.job_id]
            for job in jobs
        ]

    def _bought(self, job_ids: Sequence[str]) -> list[bool]:
        with reported():
            return bought(broker.redis_client(), self._keys, job_ids) if job_ids else []

    def pace(self) -> Pace:
        """Limits as this process's environment has them, and how the queue stands."""
        limits = self._limits
        found = self._ask(self._status)
        if found is None:
            return Pace(limits.rate_per_s, limits.workflow_rates)
        self.notes += _hindrances(found)
        jobs, learned = found["jobs"], found["pace"]
        waiting = sum(line["jobs_about"] for line in jobs["queued"].values())
        ahead = waiting + jobs["in_hand_messages"] + jobs["waiting"] + sum(jobs["sidings"].values())
        learned_per_s = learned["posts_per_s"] if learned else None
        return Pace(limits.rate_per_s, limits.workflow_rates, learned_per_s, ahead, jobs["sidings"])

    def _status(self) -> dict[str, Any] | None:
        try:
            from worker.store.scripts import Scripts
            from worker.store.stats import stats
        except ModuleNotFoundError as error:
            self.notes.append(f"the backlog is not known: {missing(error.name or '')}")
            return None
        scripts = Scripts(broker.settings().redis_url, (self._keys.queue, self._keys.results), connections=1)
        try:
            with reported():
                return stats(scripts, self._keys)
        finally:
            scripts.client.close()

    def repeated_input(self, source: Source) -> Iterator[str]:
        """That the same jobs without ids were submitted before."""
        if before := self._ask(source.submitted_before):
            yield f"the same was submitted before, at {before}: its jobs without an id are bought again"

    def _ask(self, question: Callable[[], T]) -> T | None:
        if self._is_away:
            return None
        try:
            return question()
        except BrokerUnavailable as error:
            self._is_away = True
            words = "what was bought already, the backlog and the learned rate are not known"
            self.notes.append(f"{words}: {error}")
            return None


def _hindrances(found: dict[str, Any]) -> Iterator[str]:
    """Why nothing may go out at all for now."""
    if not any(worker["consumes"] for worker in found["workers"]):
        yield "no worker consumes this queue: jobs wait until one does"
    if found["paused"]:
        yield f"paused: {', '.join(found['paused']).replace('*', 'everything')}"
    if found["brake"]["open"]:
        yield "the vendor is down by its answers: jobs wait"
