"""The purchase key: what makes two jobs one purchase. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

PARTS: Final = ("shop", "product", "image", "workflow", "version", "input")
"""The default: a changed picture, prompt or seed is another purchase, a changed price is not."""

TEMPLATE: Final = "template"
"""In the place of "input": the [job.input] table as it is written, whatever a product makes of it."""

ALL_PARTS: Final = (*PARTS, TEMPLATE)
WINDOW_S: Final = 365 * 86400
"""A catalogue that is submitted each night must find last month's purchases."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """How a job's key is made, and for how long it holds: from the purchase on, or, where it ``renews``, from
    the last time that the job was asked for.
    """

    parts: Sequence[str] = PARTS
    window_s: float = WINDOW_S
    renews: bool = True

    def key(self, known: dict[str, Any]) -> str:
        """The key, readable: JSON of its parts by name."""
        return json.dumps(
            {name: known[name] for name in self.parts}, ensure_ascii=False, separators=(",", ":")
        )


def digest(value: Any) -> str:
    """Of any JSON value, whatever the order of its fields."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def shop_in_key(shop: str) -> str:
    """A shop as it stands in keys: a host's name, however it was written, as events have it."""
    return re.sub(r"^https?://|[/.\s]+$", "", shop.strip().lower())


def as_text(identity: Any) -> str | None:
    """A product's identity as text: JSON has 44 where CSV has "44", and WooCommerce's column Parent "id:44".

    None where it is none.
    """
    if isinstance(identity, float) and identity.is_integer():
        identity = int(identity)
    if isinstance(identity, bool) or not isinstance(identity, str | int):
        return None
    return str(identity).strip().removeprefix("id:") or None
