"""The batch of `aigc submit`: its jobs are added, and it is closed at the end of the file."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class How:
    """How the jobs of a file are queued."""

    priority: Any = "normal"
    batch: str | None = None
    keep_open: bool = False

    def begin(self) -> None:
        """Say so where the batch was closed before: its earlier jobs count together with these."""
        if self.batch is None:
            return
        from tasks import batches

        with suppress(batches.NoSuchBatch):
            found = batches.progress(self.batch)
            if found.closed:
                before = f"batch {self.batch} was closed at {found.closed_at} with {found.total:,} jobs"
                words = f"{before}, which count together with these: give each run a name of its own"
                click.echo(f"aigc: {words}", err=True)

    def end(self) -> None:
        """All jobs of the file are queued."""
        if self.batch is None or self.keep_open:
            return
        from tasks import batches

        with suppress(batches.NoSuchBatch):  # none of its jobs was queued
            batches.close(self.batch)


def check_usage(batch: str | None, *, keep_open: bool) -> None:
    """Raises click.UsageError for a name that no batch can have."""
    if batch is None:
        if keep_open:
            raise click.UsageError("--keep-open goes with --batch")
        return
    from tasks import InvalidPayload
    from tasks.checks import check_batch

    try:
        check_batch(batch)
    except InvalidPayload as error:
        raise click.UsageError(f"--{error}") from None
