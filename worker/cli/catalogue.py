"""The jobs of a catalogue: of each product those that a mapping makes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from worker.cli.shops import check, note
from worker.cli.submit_source import Source
from worker.mapping import NO_IMAGE, Mapping, MappingError, load

if TYPE_CHECKING:
    from tasks import Submission

OWN_KEYS: Final = "csv"
"""The ready mapping of which no shop sends events: its purchase keys are no others'."""


def loaded(name: str, shop: str | None) -> Mapping:
    """The mapping; says so where its purchase keys are not those of what was bought before.

    Raises click.ClickException where it is none, or would buy again what was bought for shops.
    """
    try:
        mapping = load(name)
    except MappingError as error:
        raise click.ClickException(str(error)) from None
    if name != OWN_KEYS:
        check(mapping, shop)
    return mapping


class Catalogue(Source):
    """The good jobs of a file of products.

    Each has an id of its own: one that comes back otherwise from the queue was queued before. ``own_keys``:
    nothing else asks for its purchases.
    """

    unit = "product"

    def __init__(
        self, file: BinaryIO, mapping: Mapping, shop: str, *, own_keys: bool = False, **reading: Any
    ) -> None:
        super().__init__(file.name)
        self._own_keys = own_keys
        self._file = file
        self._mapping = mapping
        self._shop = shop
        self._reading = reading
        self._jobs = 0

    def begin(self) -> None:
        """It is going to be queued."""
        if not self._own_keys:
            note(self._mapping, self._shop)

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
