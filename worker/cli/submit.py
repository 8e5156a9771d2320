"""`aigc submit`: jobs from a file into the queue."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TextIO

import click

from tasks.contract import METADATA_MAX_BYTES
from worker.cli.common import broker_in_words
from worker.cli.faults import Faults
from worker.cli.progress import progress

if TYPE_CHECKING:
    from tasks import Submission
    from worker.cli.jobs import Source
    from worker.cli.submitted_before import HashedInput


@click.command()
@click.argument("file", type=click.File("rb"), metavar="FILE|-")
@click.option("--unlisted", is_flag=True, help="Allow workflows that are not known here.")
@click.option("--metadata", metavar="JSON", help="Metadata of jobs that bring none.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]), default="normal", show_default=True)
@click.option("--dedupe", is_flag=True, help="Make the content of a job that brings no id its id.")
@click.option("--ids", type=click.File("w", lazy=False), metavar="FILE", help="Write the ids to this file.")
@click.option("--print-ids", is_flag=True, help="Print the ids on a terminal too.")
def submit(file: BinaryIO, ids: TextIO | None, print_ids: bool, priority: Any, **options: Any) -> None:
    """Queue the jobs of FILE, or of standard input, and print their ids, one a line.

    FILE is one JSON object, a JSON array or NDJSON. A job is a payload in the vendor's shape, or
    {"payload": …, "id": …, "metadata": …, "unlisted": …}, of which only the payload is required. What
    cannot be a job is reported with its line or item number and does not stop the rest; exit 1 then.

    Jobs travel 50 to a message: an id is printed once its message is in the queue. On a terminal there
    are a bar and a summary instead, unless --print-ids asks for them.

    Submitted twice, a job without an id is bought twice. Give ids, or --dedupe: the same payload with the
    same metadata is one job then, within FILE and for as long as jobs are remembered (a week after their
    end; AIGC_JOURNAL_TTL_S).

    \b
    Examples:
      aigc submit jobs.ndjson > ids.txt
      aigc submit jobs.ndjson --dedupe --ids ids.txt
      echo '{"workflow": "TEXT2IMAGE", "version": "1.0.0", "algoInput":
            {"inputText": "a cat", "width": 512, "height": 512}}' | aigc submit -
    """
    from worker.cli.jobs import Unreadable
    from worker.cli.submitted_before import HashedInput

    options["metadata"] = _object(options["metadata"])
    out = ids or (sys.stdout if print_ids or not sys.stdout.isatty() else None)
    with broker_in_words():
        source = HashedInput(file)
        jobs = Jobs(file.name, source, **options)
        _warn_of_the_second_time(file, source, jobs.dedupe)
        try:
            count, last = _queue(jobs, file, source, out, priority)
        except Unreadable as error:
            raise click.ClickException(f"{file.name}: {error}") from None
        finally:
            jobs.tell_the_rest()
    if count and (sys.stdout.isatty() or sys.stderr.isatty()):
        click.echo("\n".join(_summary(jobs, count, last, shown=out is not None)), err=True)
    if jobs.bad:
        raise click.ClickException(f"{jobs.bad} of {jobs.seen} jobs were not queued")
    if not jobs.seen:
        raise click.ClickException(f"{file.name}: no jobs in it")


def _queue(
    jobs: Jobs, file: BinaryIO, source: HashedInput, out: TextIO | None, priority: Any
) -> tuple[int, str]:
    """How many were queued, and the id of the last one."""
    from tasks import submit_many

    count, job_id = 0, ""
    with ExitStack() as stack:
        # One terminal cannot have both a bar and the ids.
        show = None if out is not None and out.isatty() else stack.enter_context(progress(file, "queueing"))
        try:
            for count, job_id in enumerate(submit_many(jobs, priority=priority), 1):
                if out is not None:
                    out.write(f"{job_id}\n")
                if jobs.without_id and source.is_known:
                    source.mark(dedupe=jobs.dedupe)
                if show is not None and count % 1000 == 0:
                    show(count)
        finally:
            if out is not None:
                out.flush()
            if jobs.without_id and not source.is_known:
                _tell_of_the_second_time(file, source, jobs)
    return count, job_id


class Jobs:
    """The good jobs of a file, in order; the bad ones are reported and counted on the way."""

    def __init__(
        self, name: str, source: Source, metadata: dict[str, Any] | None, unlisted: bool, dedupe: bool
    ) -> None:
        self._name = name
        self._source = source
        self._metadata = metadata
        self._unlisted = unlisted
        self._faults = Faults()
        self._contents = set[str]()
        self.dedupe = dedupe
        self.seen = 0
        self.bad = 0
        self.without_id = 0
        self.duplicates = 0

    def __iter__(self) -> Iterator[Submission]:
        from worker.cli import jobs

        for place, value in jobs.read(self._source):
            self.seen += 1
            try:
                job = jobs.submission(value, metadata=self._metadata, unlisted=self._unlisted)
            except ValueError as error:
                self.bad += 1
                self._tell(self._faults.note(place, str(error)))
            else:
                yield from [job] if job.job_id else self._named(job)

    def _named(self, job: Submission) -> Iterator[Submission]:
        """A job without an id; none where its content is a duplicate that is to be left out."""
        from worker.cli.jobs import content_id

        self.without_id += 1
        if not self.dedupe:
            yield job
        elif (job_id := content_id(job)) in self._contents:
            self.duplicates += 1
        else:
            self._contents.add(job_id)
            yield dataclasses.replace(job, job_id=job_id)

    def tell_the_rest(self) -> None:
        """Count the faults that were not told each."""
        for line in self._faults.rest():
            self._tell(line)

    def _tell(self, line: str | None) -> None:
        if line is not None:
            click.echo(f"aigc: {self._name}: {line}", err=True)


def _summary(jobs: Jobs, count: int, last: str, *, shown: bool) -> Iterator[str]:
    """What a person wants to know in the end."""
    yield f"queued job {last}" if count == 1 else f"queued {count:,} jobs"
    if jobs.duplicates:
        yield f"left out {jobs.duplicates:,} of the same content as another"
    if count > 1 and not shown:
        yield "aigc results shows them as they end; --ids FILE or --print-ids gives their ids"
    if jobs.without_id and not jobs.dedupe:
        yield (
            f"{jobs.without_id:,} without an id: submitted again they are bought again."
            " Give ids, or --dedupe, to be safe"
        )


_REMEDY: Final = "--dedupe prevents that where it is given each time, the first one too"


def _warn_of_the_second_time(file: BinaryIO, source: HashedInput, dedupe: bool) -> None:
    """Where the same file was submitted before: say so, and ask where there is somebody to ask."""
    if not (source.is_known and (before := source.submitted_at(dedupe=dedupe))):
        return
    words = f"{file.name}: was submitted before, at {before}: its jobs without an id are bought again"
    click.echo(f"aigc: {words} ({_REMEDY})", err=True)
    if sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm("Go on?", abort=True, err=True)


def _tell_of_the_second_time(file: BinaryIO, source: HashedInput, jobs: Jobs) -> None:
    """The same of a pipe, after it was read; and that it was submitted now."""
    if before := source.submitted_at(dedupe=jobs.dedupe):
        count = jobs.without_id - jobs.duplicates
        words = f"the same was submitted before, at {before}: {count:,} jobs without an id are bought again"
        click.echo(f"aigc: {file.name}: {words} ({_REMEDY})", err=True)
    source.mark(dedupe=jobs.dedupe)


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    from tasks import InvalidPayload
    from tasks.checks import check_metadata

    try:
        value = json.loads(text)
        check_metadata(value)
    except InvalidPayload as error:
        raise click.UsageError(f"--{error}") from None
    except (ValueError, RecursionError):
        raise click.UsageError(
            f"--metadata: must be a JSON object of at most {METADATA_MAX_BYTES} bytes"
        ) from None
    return dict(value)
