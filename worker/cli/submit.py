"""`aigc submit`: jobs from a file into the queue."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from tasks.contract import METADATA_MAX_BYTES
from worker.cli.common import broker_in_words

if TYPE_CHECKING:
    from tasks import Submission

LONG_INPUT_BYTES: Final = 1_000_000


@click.command()
@click.argument("file", type=click.File("rb"), metavar="FILE|-")
@click.option("--unlisted", is_flag=True, help="Allow workflows that are not known here.")
@click.option("--metadata", metavar="JSON", help="Metadata of jobs that bring none.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]), default="normal", show_default=True)
def submit(file: BinaryIO, unlisted: bool, metadata: str | None, priority: Any) -> None:
    """Queue the jobs of FILE, or of standard input, and print their ids, one a line.

    FILE is one JSON object, a JSON array or NDJSON. A job is a payload in the vendor's shape, or
    {"payload": …, "id": …, "metadata": …, "unlisted": …}, of which only the payload is required. What
    cannot be a job is reported with its line or item number and does not stop the rest; exit 1 then.

    Jobs travel 50 to a message: an id is printed once its message is in the queue.

    \b
    Examples:
      aigc submit jobs.ndjson > ids.txt
      echo '{"workflow": "TEXT2IMAGE", "version": "1.0.0", "algoInput":
            {"inputText": "a cat", "width": 512, "height": 512}}' | aigc submit -
    """
    from tasks import submit_many
    from worker.cli.jobs import Unreadable

    jobs = Jobs(file, _object(metadata), unlisted)
    with broker_in_words(), ExitStack() as stack:
        bar = _progress_bar(file, stack)
        try:
            for count, job_id in enumerate(submit_many(jobs, priority=priority), 1):
                if bar is not None and sys.stdout.isatty():
                    click.echo("\r\x1b[K", nl=False, err=True)
                sys.stdout.write(f"{job_id}\n")
                if bar is not None and count % 1000 == 0:
                    bar.update(file.tell() - bar.pos)
        except Unreadable as error:
            raise click.ClickException(f"{file.name}: {error}") from None
        finally:
            sys.stdout.flush()
    if jobs.bad:
        raise click.ClickException(f"{jobs.bad} of {jobs.seen} jobs were not queued")
    if not jobs.seen:
        raise click.ClickException(f"{file.name}: no jobs in it")


class Jobs:
    """The good jobs of a file, in order; the bad ones are reported and counted on the way."""

    def __init__(self, file: BinaryIO, metadata: dict[str, Any] | None, unlisted: bool) -> None:
        self._file = file
        self._metadata = metadata
        self._unlisted = unlisted
        self.seen = 0
        self.bad = 0

    def __iter__(self) -> Iterator[Submission]:
        from worker.cli import jobs

        for place, value in jobs.read(self._file):
            self.seen += 1
            try:
                job = jobs.submission(value, metadata=self._metadata, unlisted=self._unlisted)
            except ValueError as error:
                self.bad += 1
                click.echo(f"aigc: {self._file.name}: {place}: {error}", err=True)
            else:
                yield job


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


def _progress_bar(file: BinaryIO, stack: ExitStack) -> Any:
    """A bar over the bytes of a long file, where a person watches; else None."""
    status = os.fstat(file.fileno())
    if not (sys.stderr.isatty() and stat.S_ISREG(status.st_mode) and status.st_size > LONG_INPUT_BYTES):
        return None
    return stack.enter_context(click.progressbar(length=status.st_size, label="queueing", file=sys.stderr))
