"""`aigc submit`: jobs from a file into the queue."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TextIO

import click

from tasks.contract import METADATA_MAX_BYTES
from worker.cli.common import broker_in_words, counted, settings_in_words
from worker.cli.extras import require
from worker.cli.submit_batch import How, check_usage
from worker.cli.submit_source import Jobs, Source

if TYPE_CHECKING:
    from worker.cli.catalogue import Catalogue

_OF_PRODUCTS: Final = ("shop", "encoding", "sheet")
_OF_JOBS: Final = ("metadata", "unlisted", "dedupe")


@click.command()
@click.argument("file", type=click.File("rb"), metavar="FILE|-")
@click.option(
    "--map", "mapping", metavar="MAPPING", help="FILE has products; make jobs of them by this TOML."
)
@click.option("--shop", metavar="NAME", help="With --map: the shop, for the purchase key; '' for none.")
@click.option("--encoding", metavar="NAME", help="With --map: of a CSV that is not UTF-8.")
@click.option("--sheet", metavar="NAME", help="With --map: of a spreadsheet; else the first.")
@click.option("--dry-run", is_flag=True, help="Queue nothing: say what would be, what it costs, how long.")
@click.option("--preflight", is_flag=True, help="With --dry-run: fetch the pictures and check them, too.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: one JSON object.")
@click.option("--unlisted", is_flag=True, help="Allow workflows that are not known here.")
@click.option("--metadata", metavar="JSON", help="Metadata of jobs that bring none.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]), default="normal", show_default=True)
@click.option("--batch", metavar="NAME", help="Batch of jobs that name none; closed at the end of FILE.")
@click.option("--keep-open", is_flag=True, help="With --batch: do not close it, more is to come.")
@click.option("--dedupe", is_flag=True, help="Make the content of a job that brings no id its id.")
@click.option("--ids", type=click.File("w", lazy=False), metavar="FILE", help="Write the ids to this file.")
@click.option("--print-ids", is_flag=True, help="Print the ids on a terminal too.")
def submit(
    file: BinaryIO, mapping: str | None, dry_run: bool, preflight: bool, as_json: bool, **options: Any
) -> None:
    """Queue the jobs of FILE, or of standard input, and print their ids, one a line.

    FILE is one JSON object, a JSON array or NDJSON. A job is a payload in the vendor's shape, or
    {"payload": …, "id": …, "metadata": …, "unlisted": …}, of which only the payload is required. What
    cannot be a job is reported with its line or item number and does not stop the rest; exit 1 then.

    Jobs travel 50 to a message: an id is printed once its message is in the queue. On a terminal there
    are a bar and a summary instead, unless --print-ids asks for them.

    Submitted twice, a job without an id is bought twice. Give ids, or --dedupe: the same payload with the
    same metadata is one job then, within FILE and for as long as jobs are remembered (a week after their
    end; AIGC_JOURNAL_TTL_S).

    With --map, FILE is a catalogue of products: CSV, TSV, .xlsx, NDJSON or JSON. The mapping, a file or a
    ready one by its name (shopify, woocommerce, csv), makes the jobs and their purchase keys: run again, it
    buys nothing twice. aigc map shows and checks mappings.

    \b
    Examples:
      aigc submit jobs.ndjson > ids.txt
      aigc submit jobs.ndjson --dedupe --ids ids.txt
      aigc submit catalogue.csv --map woocommerce --dry-run
      echo '{"workflow": "TEXT2IMAGE", "version": "1.0.0", "algoInput":
            {"inputText": "a cat", "width": 512, "height": 512}}' | aigc submit -
    """
    _check_usage(mapping, dry_run, options, preflight=preflight, json=as_json)
    if dry_run:
        from worker.cli.dry_run import dry_run as say

        with settings_in_words(), _readable(file.name):
            say(file, _source(file, mapping, options), preflight=preflight, as_json=as_json)
    elif mapping is not None:
        _submit_products(file, _catalogue(file, mapping, options), **_output(options))
    else:
        _submit_jobs(file, options, **_output(options))


def _submit_jobs(file: BinaryIO, options: dict[str, Any], out: TextIO | None, how: How) -> None:
    from worker.cli.submit_queue import SecondTime, queue, summary_of_jobs
    from worker.cli.submitted_before import HashedInput

    with broker_in_words(), _readable(file.name):
        hashed = HashedInput(file)
        jobs = Jobs(file.name, hashed, **_given(options, _OF_JOBS))
        second_time = SecondTime(file, hashed, jobs)
        second_time.before()
        try:
            queued = queue(jobs, file, out, how, second_time)
        finally:
            jobs.tell_the_rest()
    if queued.new and (sys.stdout.isatty() or sys.stderr.isatty()):
        click.echo("\n".join(summary_of_jobs(jobs, queued, shown=out is not None)), err=True)
    _finish(jobs)


def _submit_products(file: BinaryIO, products: Catalogue, out: TextIO | None, how: How) -> None:
    from worker.cli.submit_queue import queue, summary_of_products

    with broker_in_words(), _readable(file.name):
        products.begin()
        try:
            queued = queue(products, file, out, how, None)
        finally:
            products.tell_the_rest()
    if products.seen:
        click.echo("\n".join(summary_of_products(products, queued)), err=True)
    _finish(products)


def _finish(source: Source) -> None:
    if source.bad:
        of_all = counted(source.seen, source.unit)
        were = "was" if source.bad == 1 else "were"
        raise click.ClickException(f"{source.bad:,} of {of_all} {were} not queued")
    if words := source.nothing():
        raise click.ClickException(f"{source.name}: {words}")


def _source(file: BinaryIO, mapping: str | None, options: dict[str, Any]) -> Source:
    if mapping is not None:
        return _catalogue(file, mapping, options)
    from worker.cli.submitted_before import HashedInput

    return Jobs(file.name, HashedInput(file), **_given(options, _OF_JOBS))


def _catalogue(file: BinaryIO, mapping: str, options: dict[str, Any]) -> Catalogue:
    require("mapping")
    from worker.cli.catalogue import OWN_KEYS, Catalogue, loaded

    found, reading = loaded(mapping, options["shop"]), _given(options, ("encoding", "sheet"))
    return Catalogue(file, found, options["shop"] or "", own_keys=mapping == OWN_KEYS, **reading)


def _given(options: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: options[name] for name in names}


def _output(options: dict[str, Any]) -> dict[str, Any]:
    shown = sys.stdout if options["print_ids"] or not sys.stdout.isatty() else None
    return {"out": options["ids"] or shown, "how": How(**_given(options, ("priority", "batch", "keep_open")))}


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn a file of which nothing can be made into the command's failure."""
    from worker.domain.unreadable import Unreadable

    try:
        yield
    except Unreadable as error:
        raise click.ClickException(f"{name}: {error}") from None


def _check_usage(mapping: str | None, dry_run: bool, options: dict[str, Any], **of_dry_run: bool) -> None:
    options["metadata"] = _object(options["metadata"])
    check_usage(options["batch"], keep_open=options["keep_open"])
    for name in _OF_PRODUCTS if mapping is None else _OF_JOBS:
        if options[name] not in (None, False):
            with_or_without = "with" if mapping is None else "without"
            raise click.UsageError(f"--{name} goes {with_or_without} --map")
    for name, given in of_dry_run.items():
        if given and not dry_run:
            raise click.UsageError(f"--{name} goes with --dry-run")


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
