"""Jobs of a source into the queue, and what a person is told of it."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, TextIO

import click

from worker.cli.common import counted
from worker.cli.progress import progress

if TYPE_CHECKING:
    from tasks import Submission
    from worker.cli.submit_batch import How
    from worker.cli.submit_source import Jobs, Source
    from worker.cli.submitted_before import HashedInput

_IDLE_S: Final = 0.05
_PART_WITHIN_S: Final = 1.0
_REMEDY: Final = "--dedupe prevents that where it is given each time, the first one too"


@dataclass(slots=True)
class Queued:
    """What became of a source's jobs."""

    new: int = 0
    held: int = 0
    """Jobs that were not queued, for another one holds their purchase key."""
    last: str = ""
    """The id of the last one."""


class SecondTime:
    """Jobs without an id are bought again when their file is submitted again: warns of that, and notes it."""

    def __init__(self, file: BinaryIO, source: HashedInput, jobs: Jobs) -> None:
        self._file = file
        self._source = source
        self._jobs = jobs

    def before(self) -> None:
        """Where the same file was submitted before: say so, and ask where there is somebody to ask."""
        source = self._source
        if not (source.is_known and (before := source.submitted_at(dedupe=self._jobs.dedupe))):
            return
        words = f"was submitted before, at {before}: its jobs without an id are bought again"
        self._tell(f"{self._file.name}: {words}")
        if sys.stdin.isatty() and sys.stderr.isatty():
            click.confirm("Go on?", abort=True, err=True)

    def queued(self) -> None:
        """A job was queued."""
        if self._jobs.without_id and self._source.is_known:
            self._source.mark(dedupe=self._jobs.dedupe)

    def after(self) -> None:
        """The same as `before` of a pipe, after it was read; and that it was submitted now."""
        jobs, source = self._jobs, self._source
        if not jobs.without_id or source.is_known:
            return
        if before := source.submitted_at(dedupe=jobs.dedupe):
            count = jobs.without_id - jobs.duplicates
            words = f"the same was submitted before, at {before}: {count:,} jobs without an id are bought"
            self._tell(f"{self._file.name}: {words} again")
        source.mark(dedupe=jobs.dedupe)

    def _tell(self, words: str) -> None:
        click.echo(f"aigc: {words} ({_REMEDY})", err=True)


def queue(
    source: Source, file: BinaryIO, out: TextIO | None, how: How, second_time: SecondTime | None
) -> Queued:
    """Queue all of a source; ids go to `out` as their jobs are in the queue."""
    from tasks.settings import trace_of_environ
    from tasks.tracing import trace_context

    queued, own = Queued(), deque[str]()
    how.begin()

    with ExitStack() as stack:
        stack.enter_context(trace_context(*trace_of_environ()))
        # One terminal cannot have both a bar and the ids.
        show = None if out is not None and out.isatty() else stack.enter_context(progress(file, "queueing"))
        try:
            for count, job_id in enumerate(_ids(source, out, how, own), 1):
                held = own.popleft() not in ("", job_id)
                queued.held, queued.new, queued.last = queued.held + held, queued.new + (not held), job_id
                if second_time is not None:
                    second_time.queued()
                if out is not None:
                    out.write(f"{job_id}\n")
                if show is not None and count % 1000 == 0:
                    show(count)
        except BaseException as error:
            stack.close()
            _tell_how_far(queued, error)
            raise
        finally:
            if second_time is not None:
                second_time.after()
            if out is not None:
                out.flush()
    how.end()
    return queued


def _ids(source: Source, out: TextIO | None, how: How, own: deque[str]) -> Iterator[str]:
    """Queue all of it, and give each job's id; `own` is given the ids that the jobs bring.

    What a pipe has given is queued before more of it is waited for: who feeds it may never end it.
    """
    from tasks import submit_many

    places, is_all = source.places(), False

    def part() -> Iterator[Submission]:
        nonlocal is_all
        until = time.monotonic() + _PART_WITHIN_S
        for job in places:
            if job is not None:
                own.append(job.job_id or "")
                yield job
            if source.is_idle(_IDLE_S if time.monotonic() < until else 0):
                return
        is_all = True

    while not is_all:
        yield from submit_many(part(), priority=how.priority, batch=how.batch)
        if out is not None:
            out.flush()


def _tell_how_far(queued: Queued, error: BaseException) -> None:
    """Where it ends early: what was queued is queued. A reader that has gone, as `head`, is no such end."""
    count = queued.new + queued.held
    if count and not isinstance(error, BrokenPipeError):
        click.echo(f"aigc: ended early: {counted(count, 'job')} or more of it are in the queue", err=True)


def summary_of_jobs(jobs: Jobs, queued: Queued, *, shown: bool) -> Iterator[str]:
    """What a person wants to know in the end."""
    count = queued.new
    yield f"queued job {queued.last}" if count == 1 else f"queued {count:,} jobs"
    if jobs.duplicates:
        yield f"left out {jobs.duplicates:,} of the same content as another"
    if count > 1 and not shown:
        yield "aigc results shows them as they end; --ids FILE or --print-ids gives their ids"
    if jobs.without_id and not jobs.dedupe:
        yield (
            f"{jobs.without_id:,} without an id: submitted again they are bought again."
            " Give ids, or --dedupe, to be safe"
        )


def summary_of_products(source: Source, queued: Queued) -> Iterator[str]:
    """The same of a catalogue."""
    yield f"queued {counted(queued.new, 'job')} of {counted(source.seen, 'product')}"
    if queued.held:
        yield f"left out {queued.held:,} that were queued before, here or in an earlier run"
    for reason, count in source.skipped.items():
        yield f"no job of {counted(count, 'product')}: {reason}"
