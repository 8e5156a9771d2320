"""What `aigc submit` reads: the good jobs of a file, and what is wrong with the others."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from worker.cli.faults import Faults

if TYPE_CHECKING:
    from tasks import Submission
    from worker.cli.submitted_before import HashedInput


class Source(ABC):
    """The good jobs of a file, in order; the faults of the others are told on standard error."""

    unit = "job"
    """What a place of the file holds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.place = ""
        """Of the job that was given last, such as "line 3"."""
        self.seen = 0
        """Places so far."""
        self.bad = 0
        """Places with a fault so far."""
        self.duplicates = 0
        """Jobs that were left out, for another one is the same."""
        self.skipped = Counter[str]()
        """Places of which no job was to be made, by reason."""
        self._faults = Faults()

    @abstractmethod
    def __iter__(self) -> Iterator[Submission]:
        """The good jobs."""

    def places(self) -> Iterator[Submission | None]:
        """The same; None in between where a place made none, so that nothing is waited for unseen."""
        yield from self

    def nothing(self) -> str | None:
        """What is amiss where the whole made no job; None where some was made, or none was to be."""
        return None if self.seen else f"no {self.unit}s in it"

    def is_idle(self, within_s: float) -> bool:
        """Whether the next place has not come yet, nor does within so many seconds."""
        return False

    def submitted_before(self) -> str | None:
        """When these very jobs were submitted last, where they are bought again; after they were read."""
        return None

    def refuse(self, *reasons: str) -> None:
        """What is at this place cannot be queued, or not all of it."""
        self.bad += 1
        for reason in reasons:
            self.tell(self.place, reason)

    def tell(self, place: str, reason: str) -> None:
        """Say a fault, unless it was said often enough."""
        self._say(self._faults.note(place, reason))

    def tell_the_rest(self) -> None:
        """Count the faults that were not told each."""
        for line in self._faults.rest():
            self._say(line)

    def _say(self, line: str | None) -> None:
        if line is not None:
            click.echo(f"aigc: {self.name}: {line}", err=True)


class Jobs(Source):
    """The good jobs of a file of jobs (JSON, NDJSON)."""

    def __init__(
        self, name: str, source: HashedInput, metadata: dict[str, Any] | None, unlisted: bool, dedupe: bool
    ) -> None:
        super().__init__(name)
        self._source = source
        self._metadata = metadata
        self._unlisted = unlisted
        self._contents = set[str]()
        self._by_id = dict[int, int]()  # hashes, for there may be a million
        self._by_id_before = dict[int, int]()
        """The same of what a pipe gave before it was waited for: that is queued, and may have ended."""
        self.dedupe = dedupe
        self.without_id = 0

    def __iter__(self) -> Iterator[Submission]:
        return (job for job in self.places() if job is not None)

    def places(self) -> Iterator[Submission | None]:
        from worker.cli import jobs

        for place, value in jobs.read(self._source):
            self.place, self.seen = place, self.seen + 1
            try:
                job = jobs.submission(value, metadata=self._metadata, unlisted=self._unlisted)
            except ValueError as error:
                self.refuse(str(error))
                yield None
            else:
                yield from self._named(job) if job.job_id is None else self._with_id(job, job.job_id)

    def is_idle(self, within_s: float) -> bool:
        is_idle = self._source.is_idle(within_s)
        if is_idle:
            self._by_id_before |= self._by_id
            self._by_id.clear()
        return is_idle

    def submitted_before(self) -> str | None:
        return self._source.submitted_at(dedupe=self.dedupe) if self.without_id else None

    def _with_id(self, job: Submission, job_id: str) -> Iterator[Submission | None]:
        """A job with an id; None where one that comes with it is another: it would never be bought."""
        from worker.cli.jobs import content_id

        name, content = hash(job_id), hash(content_id(job))
        if self._by_id.setdefault(name, content) != content:
            words = f"another job of this file has {job_id!r} already, and one of the two would be lost"
            self.refuse(f"id: {words}")
            yield None
            return
        if self._by_id_before.get(name, content) != content:
            words = f"another job had {job_id!r} before: this one is run if that ended and bought nothing"
            self.tell(self.place, f"id: {words}")
        yield job

    def _named(self, job: Submission) -> Iterator[Submission | None]:
        """A job without an id; None where its content is a duplicate that is to be left out."""
        from worker.cli.jobs import content_id

        self.without_id += 1
        if not self.dedupe:
            yield job
        elif (job_id := content_id(job)) in self._contents:
            self.duplicates += 1
            yield None
        else:
            self._contents.add(job_id)
            yield dataclasses.replace(job, job_id=job_id)
