"""A mapping: what becomes of a product. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker.mapping.values import MappedJobs


@dataclass(frozen=True, slots=True)
class Mapping:
    """What becomes of a product; `load` makes one. Thread-safe."""

    def jobs(self, product: dict[str, Any], *, shop: str = "", event: str = "") -> MappedJobs:
        """The jobs of one product; the same product gives the same ones, with the same purchase keys.

        Args:
            product: as the shop has it, in JSON's types.
            shop: part of the purchase key; the mapping's own where it is empty.
            event: what happened to it, such as "products/create", for templates and conditions.
        """
        raise NotImplementedError
