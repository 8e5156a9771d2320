"""`aigc map`: mappings from products to jobs, shown and checked."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import click

from worker.cli.common import counted
from worker.cli.output import is_of_output

if TYPE_CHECKING:
    from worker.mapping import MappedJob, Mapping


@click.command("map")
@click.option(
    "--check",
    nargs=2,
    metavar="MAPPING PRODUCT",
    help="Print the jobs that MAPPING makes of PRODUCT, a file.",
)
@click.option("--show", metavar="NAME", help="Print a ready mapping, to start from.")
@click.option("--shop", default="", metavar="NAME", help="With --check: the shop, for the purchase key.")
@click.option("--event", default="", metavar="TOPIC", help="With --check: such as products/create.")
def map_command(check: tuple[str, str] | None, show: str | None, shop: str, event: str) -> None:
    """Show the ready mappings, or check one against a product; nothing is queued.

    (docs/how-to/map-products.md) A mapping says in TOML which jobs become of a product. MAPPING is a file or
    a ready one by its name, PRODUCT a product as JSON, a catalogue as aigc submit --map takes it, or - for
    standard input. Each job is printed with its metadata and its purchase key: jobs with the same key are
    bought once. Exit 1 where something is wrong.

    \b
    Examples:
      aigc map --show shopify > mapping.toml
      aigc map --check mapping.toml product.json
      aigc map --check woocommerce catalogue.csv | jq -r .purchaseKey | sort -u | wc -l
    """
    from worker.mapping import MappingError, load
    from worker.mapping.loader import ready_names, text_of

    if (check is None) == (show is None):
        names = ", ".join(ready_names())
        raise click.UsageError(f"give --check MAPPING PRODUCT, or --show with one of {names}")
    try:
        if show is not None:
            if show not in ready_names():
                raise click.UsageError(f"--show: must be one of {', '.join(ready_names())}")
            click.echo(text_of(show), nl=False)
        elif check is not None:
            _check(load(check[0]), check[1], shop, event)
    except MappingError as error:
        raise click.ClickException(str(error)) from None


def _check(mapping: Mapping, path: str, shop: str, event: str) -> None:
    from worker.cli.products import products
    from worker.domain.unreadable import Unreadable

    seen = bad = made = 0
    try:
        with click.open_file(path, "rb") as file:
            for place, product in products(cast(BinaryIO, file)):
                seen += 1
                jobs, is_bad = _of_product(mapping, place, product, shop=shop, event=event)
                made, bad = made + jobs, bad + is_bad
    except (Unreadable, OSError) as error:
        if is_of_output(error):
            raise
        reason = error.strerror if isinstance(error, OSError) else error
        raise click.ClickException(f"{path}: {reason}") from None
    if bad:
        raise click.ClickException(f"problems with {bad:,} of {counted(seen, 'product')}")
    if not seen:
        raise click.ClickException(f"{path}: no products in it")
    if seen > 1 and not made:
        raise click.ClickException(f"{path}: no job of any product: is the mapping one for this file?")


def _of_product(
    mapping: Mapping, place: str, product: dict[str, Any] | ValueError, **about: str
) -> tuple[int, bool]:
    """Print what becomes of one product; gives how many jobs, and whether anything is wrong."""
    if isinstance(product, ValueError):
        click.echo(f"aigc: {place}: {product}", err=True)
        return 0, True
    made = mapping.jobs(product, **about)
    for job in made.jobs:
        text = json.dumps(_document(place, job), ensure_ascii=False, indent=_indent())
        click.echo(text.encode("utf-8", "backslashreplace").decode())  # half a surrogate pair, as JSON has it
    for line in (*(f"no job: {reason}" for reason in made.skipped), *made.problems):
        click.echo(f"aigc: {place}: {line}", err=True)
    return len(made.jobs), bool(made.problems)


def _document(place: str, job: MappedJob) -> dict[str, Any]:
    submission = job.submission
    return {
        "place": place,
        "job": job.job,
        "item": job.item,
        "payload": submission.payload,
        "metadata": submission.metadata or {},
        "unlisted": bool(submission.unlisted),
        "purchaseKey": submission.dedupe_key,
        "windowSeconds": submission.dedupe_ttl_s,
    }


def _indent() -> int | None:
    return 2 if sys.stdout.isatty() else None
