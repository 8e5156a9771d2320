"""What of a product makes a job each: pictures, variants, itself, or what an expression finds. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from worker.mapping.paths import Path
from worker.mapping.urls import clean_url

IMAGE: Final = "image"
FIRST_IMAGE: Final = "first image"
VARIANT: Final = "variant"
PRODUCT: Final = "product"
NAMES: Final = (IMAGE, FIRST_IMAGE, VARIANT, PRODUCT)
"""Ready names; anything else is JMESPath."""

ITEMS_MAX: Final = 5000

_URL: Final = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)
_NAMES_A_FILE: Final = re.compile(r"\.[^\W\d_]{2}")
_PICTURE_FIELDS: Final = ("src", "url", "originalSrc", "image", "featured_image", "featuredImage")


@dataclass(frozen=True, slots=True)
class Item:
    """What one job is made from."""

    label: str
    value: Any
    image: str | None
    """URL of its picture, as it can be fetched."""
    is_picture: bool
    """Whether the picture belongs into the purchase key though no input names it."""
    number: int
    """From 1, in the product's own order."""


@dataclass(frozen=True, slots=True)
class Each:
    """Which items a product has: `each` is a ready name or an expression over the scope."""

    each: str | Path
    images: Path
    variants: Path

    def __call__(self, scope: dict[str, Any]) -> list[Item]:
        """Those with a picture where pictures or variants are meant.

        Raises ValueError where the product is not as the expressions take it to be, or has too many.
        """
        found = list(self._items(scope))
        if len(found) > ITEMS_MAX:
            raise ValueError(f"more than {ITEMS_MAX} items")
        return found

    def _items(self, scope: dict[str, Any]) -> Iterator[Item]:
        if self.each in (IMAGE, FIRST_IMAGE):
            pictures = list(self._pictures(scope))
            usable = [item for item in pictures if picture_of(item.value) is not None]
            yield from usable if usable and self.each == FIRST_IMAGE else pictures
        elif self.each == VARIANT:
            pictures = _listed(self.images(scope))
            for number, variant in enumerate(_listed(self.variants(scope)), 1):
                if url := picture_of(variant) or _linked(variant, pictures):
                    yield Item(f"variant {number}", variant, url, True, number)
        elif self.each == PRODUCT:
            first = next((item for item in self._pictures(scope) if picture_of(item.value) is not None), None)
            yield Item("product", scope["product"], first.image if first else None, False, 1)
        else:
            assert isinstance(self.each, Path)
            for number, value in enumerate(_listed(self.each(scope)), 1):
                yield Item(f"item {number}", value, picture_of(value), False, number)

    def _pictures(self, scope: dict[str, Any]) -> Iterator[Item]:
        seen = set[str]()
        for number, value in enumerate(_listed(self.images(scope)), 1):
            # "www.shop.example/a.jpg" is a picture to whoever wrote it: validation says what it lacks.
            url = picture_of(value) or _meant_as_picture(value)
            if url is not None and url not in seen:
                seen.add(url)
                yield Item(f"image {number}", value, url, True, number)


def picture_of(value: Any, depth: int = 0) -> str | None:
    """The URL of a picture that stands there as text, or in an object as shops' interfaces have it."""
    if isinstance(value, str):
        return clean_url(value) if value.strip() and (depth or _URL.match(value)) else None
    if isinstance(value, dict) and depth < 3:
        return next(filter(None, (picture_of(value.get(name), depth + 1) for name in _PICTURE_FIELDS)), None)
    return None


def _meant_as_picture(value: Any) -> str | None:
    """Text that is no URL and names a host or a file; "-", "n/a", "n.a.", numbers and ids do not."""
    return value.strip() if isinstance(value, str) and _NAMES_A_FILE.search(value) else None


def _linked(variant: Any, pictures: list[Any]) -> str | None:
    """The picture that a variant names by its id, or that names the variant."""
    if not isinstance(variant, dict):
        return None
    image_id, own_id = variant.get("image_id"), variant.get("id")
    for picture in pictures:
        if isinstance(picture, dict) and (
            (image_id is not None and picture.get("id") == image_id)
            or (own_id is not None and own_id in _listed(picture.get("variant_ids")))
        ):
            return picture_of(picture)
    return None


def _listed(found: Any) -> list[Any]:
    if found is None:
        return []
    return found if isinstance(found, list) else [found]
