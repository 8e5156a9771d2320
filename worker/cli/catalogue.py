"""The jobs of a catalogue: of each product those that a mapping makes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from worker.cli.submit_source import Source
from worker.mapping import NO_IMAGE, Mapping, MappingError, load

if TYPE_CHECKING:
    from tasks import Submission

_NO_SHOP: Final = (
    "no shop is named, neither by --shop nor by [mapping] shop: what aigc events, or a run that named one,"
    " bought for a shop would be bought again"
)


def loaded(name: str, shop: str) -> Mapping:
    """The mapping; says so where its purchase keys lack a shop that those of events have.

    Raises click.ClickException where it is none.
    """
    try:
        mapping = load(name)
    except MappingError as error:
        raise click.ClickException(str(error)) from None
    if mapping.lacks_shop and not shop and name != "csv":  # no shop sends events for that one
        click.echo(f"aigc: {_NO_SHOP}", err=True)
    return mapping


class Catalogue(Source):
    """The good jobs of a file of products.

    Each has an id of its own: one that comes back otherwise from the queue was queued before.
    """

    unit = "product"

    def __init__(self, file: BinaryIO, mapping: Mapping, shop: str, **reading: Any) -> None:
        super().__init__(file.name)
        self._file = file
        self._mapping = mapping
        self._shop = shop
        self._reading = reading
        self._jobs = 0

    def nothing(self) -> str | None:
        if self.seen and self.skipped[NO_IMAGE] and not (self._jobs or self.bad):
            return "no product in it has a picture: is the mapping one for this file?"
        return super().nothing()

    def __iter__(self) -> Iterator[Submission]:
        from tasks.submission import new_id
        from worker.cli.products import products

        for place, product in products(self._file, **self._reading):
            self.place, self.seen = place, self.seen + 1
            if isinstance(product, ValueError):
                self.refuse(str(product))
                continue
            made = self._mapping.jobs(product, shop=self._shop)
            self.skipped.update(made.skipped)
            if NO_IMAGE in made.skipped:
                self.tell(place, f"no job: {NO_IMAGE}")
            if made.problems:
                self.refuse(*map(str, made.problems))
            self._jobs += len(made.jobs)
            for job in made.jobs:
                yield dataclasses.replace(job.submission, job_id=new_id())
