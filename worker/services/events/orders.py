"""From an event to what is to be queued for it. Pure but for ids and the time of enqueueing."""

from __future__ import annotations

from collections.abc import Callable

from tasks.dedupe import Keyed
from tasks.envelope import encode
from tasks.frozen import value
from tasks.submission import checked_job
from worker.mapping import MappedJob, MappedJobs
from worker.services.events.values import Event, Product
from worker.store.events import Order

JOBS_MOST = 1000

Map = Callable[[Product, Event], MappedJobs]
"""What the mapping of a source makes of a product."""


@value(frozen=True, slots=True)
class Mapped:
    """A product's order, and what of the product made no job though it should have, in words."""

    product: Product
    order: Order
    problems: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether Redis need not know of it."""
        return not (self.order.jobs or self.order.debounce or self.problems)


def mapped(
    source: str, event: Event, map_product: Map, queue: str, debounce_s: float, shop: str | None = None
) -> list[Mapped]:
    """The orders of an event, one a product.

    Args:
        source: its name, part of what names a product.
        queue: the list that the jobs' messages are for.
        debounce_s: for how long jobs wait for a later event of their product; 0: not at all.
        shop: the one in their purchase keys.
    """
    return [
        _mapped(source, event, product, map_product, queue, debounce_s, shop) for product in event.products
    ]


def _mapped(
    source: str, event: Event, product: Product, map_product: Map, queue: str, debounce_s: float,
    shop: str | None,
) -> Mapped:  # fmt: skip
    try:
        found = map_product(product, event)
    except RecursionError:
        return Mapped(product, Order(product.marks, ()), ("it is nested too deep",))
    problems = [str(problem) for problem in found.problems]
    jobs = found.jobs
    if len(jobs) > JOBS_MOST:
        problems.append(f"{len(jobs)} jobs of one product, and {JOBS_MOST} are the most: nothing is queued")
        jobs = []
    debounce = f"{source} {event.shop or event.sender} {product.key}" if debounce_s and product.key else ""
    keyed = tuple(_keyed(job, queue) for job in jobs)
    order = Order(product.marks, keyed, debounce, debounce_s, product.modified_ms, shop)
    return Mapped(product, order, tuple(problems))


def _keyed(mapped_job: MappedJob, queue: str) -> Keyed:
    item = mapped_job.submission
    job = checked_job(item)
    assert item.dedupe_key is not None
    assert job.enqueued_ms is not None
    message = encode(job, queue)
    return Keyed(item.dedupe_key, item.dedupe_ttl_s, job.id, job.enqueued_ms, message, item.dedupe_renew)
