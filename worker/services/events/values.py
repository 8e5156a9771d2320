"""What a delivery is, and what a source may make of it. Pure values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tasks.frozen import value

Secrets = Mapping[str, Sequence[str]]
"""By shop, the secrets that are good now; under "" those of any shop."""

ANY_SHOP = ""


@value(frozen=True, slots=True)
class EventDelivery:
    """A request as it came.

    ``headers`` are by their names in lower case; what came twice is one, joined by ", ", as HTTP has it.
    ``token`` is what followed the source's name in the path.
    """

    headers: Mapping[str, str]
    body: bytes
    token: str = ""

    def header(self, name: str) -> str:
        """Its value without blanks around it; "" where there is none."""
        return self.headers.get(name, "").strip()


@value(frozen=True, slots=True)
class Product:
    """One product of an event.

    ``marks`` are the names under which this change of it is known again; none where its sender gives none.
    ``key`` says which product it is, "" where that is not known; ``modified_ms`` when it was changed, in ms
    since the epoch.
    """

    data: dict[str, Any]
    marks: tuple[str, ...] = ()
    key: str = ""
    modified_ms: int | None = None


@value(frozen=True, slots=True)
class Event:
    """A verified event.

    ``shop`` is given only where the secret or the configuration vouches for it; ``sender`` is the shop that
    it says it is of, believed or not: enough to tell two shops' products with one id apart.
    """

    topic: str
    products: tuple[Product, ...]
    shop: str = ""
    sender: str = ""

    def parts(self, most: int) -> Iterator[Event]:
        """The same event of at most so many products each."""
        for start in range(0, len(self.products), most):
            products = self.products[start : start + most]
            yield Event(self.topic, products, self.shop, self.sender)


@value(frozen=True, slots=True)
class Ignored:
    """Verified, or harmless, and nothing to do. ``keep`` is what a person should find of it later."""

    reason: str
    keep: str = ""


@value(frozen=True, slots=True)
class Refusal:
    """The HTTP status to answer with, and why."""

    status: int
    reason: str


Verdict = Event | Ignored | Refusal

Read = Callable[[EventDelivery, Secrets], Verdict]
"""A source: pure but for the clock that a signed time is held against."""
