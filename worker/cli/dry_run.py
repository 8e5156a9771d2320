"""`aigc submit --dry-run`: what submitting would do, cost and take; nothing is queued."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from tasks.prices import Prices
from worker.cli import quote as quotes
from worker.cli.common import counted
from worker.cli.jobs import content_id
from worker.cli.known import Known
from worker.cli.progress import Update, progress
from worker.cli.quote import Quote

if TYPE_CHECKING:
    from tasks import Submission
    from worker.cli.submit_source import Source

_AT_ONCE: Final = 1000

Placed = tuple[str, "Submission"]


def dry_run(file: BinaryIO, source: Source, *, preflight: bool, as_json: bool) -> None:
    """Read a source to its end and print the quote.

    Raises:
        click.ClickException: something is invalid, or nothing is there; after the quote.
        SettingsError: a limit, a price or the broker's settings cannot be right.
    """
    prices, known = Prices.from_environ(), Known()
    check = _picture_check() if preflight else None
    quote = Quote(source.unit, bad_pictures=None if check is None else 0)
    with progress(file, "reading") as show:
        try:
            _read(source, quote, known, check, show)
        finally:
            source.tell_the_rest()
    pace = known.pace()
    notes = [*known.repeated_input(source), *known.notes]
    if as_json:
        click.echo(json.dumps(quotes.document(quote, pace, prices, notes)))
    else:
        click.echo("\n".join(quotes.lines(quote, pace, prices, notes)))
    if words := source.nothing():
        raise click.ClickException(f"{source.name}: {words}")
    if quote.invalid or quote.bad_pictures:
        bad = quote.invalid + (quote.bad_pictures or 0)
        of_all = counted(quote.seen, source.unit)
        raise click.ClickException(f"{bad:,} of {of_all} not as it must be; nothing was queued")


def _read(source: Source, quote: Quote, known: Known, check: Any, show: Update) -> None:
    seen = _Seen()
    jobs: Iterator[Placed] = ((source.place, job) for job in source)
    while part := list(islice(jobs, _AT_ONCE)):
        quote.valid += len(part)
        single = [placed for placed in part if not _is_repeated(placed[1], seen, quote)]
        held = known.held([job for _, job in single])
        quote.bought = None if held is None or quote.bought is None else quote.bought + sum(held)
        new = [
            placed
            for placed, is_held in zip(single, held or [False] * len(single), strict=True)
            if not is_held
        ]
        if check is not None:
            new = _with_good_pictures(new, check, source, quote)
        quote.new.update(job.payload["workflow"] for _, job in new if isinstance(job.payload, dict))
        show(quote.valid)
    quote.seen, quote.invalid, quote.skipped = source.seen, source.bad, source.skipped
    quote.valid += source.duplicates
    quote.duplicates += source.duplicates


class _Seen(set[int]):
    """What was there before, at some 70 bytes each: a million jobs must fit."""

    def again(self, text: str) -> bool:
        """Whether this text came before; it has, from now on."""
        name = int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
        known = name in self
        self.add(name)
        return known


def _is_repeated(job: Submission, seen: _Seen, quote: Quote) -> bool:
    """Whether an earlier job of the file is the same purchase; one without an id is none."""
    name = job.dedupe_key or job.job_id
    if not seen.again(name or content_id(job)):
        return False
    if name is None:
        quote.repeated += 1
        return False
    quote.duplicates += 1
    return True


def _with_good_pictures(new: list[Placed], check: Any, source: Source, quote: Quote) -> list[Placed]:
    """Those without a picture that would be refused for certain; what may pass is told, and stays."""
    from tasks.payload import image_urls

    images = [list(image_urls(job.payload)) if isinstance(job.payload, dict) else [] for _, job in new]
    found = check({url for of_job in images for _, url in of_job})
    good = []
    for (place, job), of_job in zip(new, images, strict=True):
        faults = [(path, fault) for path, url in of_job if (fault := found.get(url)) is not None]
        for path, fault in faults:
            source.tell(place, f"{path}: {fault.code}: {fault.words}{'' if fault.certain else ' (may pass)'}")
        if any(fault.certain for _, fault in faults):
            quote.bad_pictures = (quote.bad_pictures or 0) + 1
        else:
            good.append((place, job))
    return good


def _picture_check() -> Any:
    from worker.cli.extras import require

    require("worker", what="--preflight")
    from worker import preflight

    check = getattr(preflight, "check_urls", None)
    if check is None:
        raise click.UsageError("--preflight: this version cannot check pictures")
    return check
