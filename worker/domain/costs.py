"""What jobs cost, by their number of each workflow. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from tasks.prices import Prices


def cost(jobs: Mapping[str, int], prices: Prices) -> tuple[dict[str, Decimal | None], Decimal | None]:
    """What the jobs of each workflow cost, None where that is not known; and all, None where one is not."""
    by_workflow: dict[str, Decimal | None] = {}
    for workflow, count in sorted(jobs.items()):
        price = prices.of(workflow)
        by_workflow[workflow] = None if price is None else price * count
    known = [amount for amount in by_workflow.values() if amount is not None]
    return by_workflow, sum(known, Decimal(0)) if len(known) == len(by_workflow) else None


def money(amount: Decimal, prices: Prices) -> str:
    """An amount in words, with the currency where one is said."""
    return f"{amount:,f} {prices.currency}".rstrip()
