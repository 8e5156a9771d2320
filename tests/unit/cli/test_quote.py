"""What a quote says of cost and time."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from tasks.prices import Prices
from worker.cli.quote import Pace, Quote, document, duration, estimate, lines
from worker.domain.costs import cost

NEW = Counter({"IMAGE2VIDEO": 300, "TEXT2IMAGE": 20})
PRICES = Prices({"IMAGE2VIDEO": Decimal("0.07")}, "USD")


def told(quote: Quote, pace: Pace, prices: Prices) -> str:
    return "\n".join(lines(quote, pace, prices, []))


def test_a_price_that_is_not_known_is_never_nothing() -> None:
    """The total is a least then, and says so; decimals stay exact."""
    assert cost(NEW, PRICES) == ({"IMAGE2VIDEO": Decimal("21.00"), "TEXT2IMAGE": None}, None)
    text = told(Quote("product", new=NEW), Pace(), PRICES)
    assert "IMAGE2VIDEO: 300 x 0.07 = 21.00 USD" in text
    assert "TEXT2IMAGE: not known, for AIGC_PRICE__TEXT2IMAGE is not set" in text
    assert "total at least 21.00 USD; some prices are not known" in text
    assert "total not known" in told(Quote("product", new=NEW), Pace(), Prices())
    both = Prices({"IMAGE2VIDEO": Decimal("0.1"), "TEXT2IMAGE": Decimal("0.0")})
    assert "cost        total 30.0\n" in told(Quote("product", new=NEW), Pace(), both)


@pytest.mark.parametrize(
    ("pace", "seconds"),
    [
        (Pace(), None),
        (Pace(rate_per_s=2), 160),
        (Pace(rate_per_s=2, ahead=40), 180),
        (Pace(rate_per_s=2, ahead=40, learned_per_s=1), 360),
        (Pace(rate_per_s=100, workflow_rates={"TEXT2IMAGE": 0.1, "CATVTON": 0.001}), 200),
        (Pace(workflow_rates={"TEXT2IMAGE": 0.1}, ahead=40, ahead_of={"TEXT2IMAGE": 10}), 300),
    ],
)
def test_the_limit_that_takes_longest_decides(pace: Pace, seconds: float | None) -> None:
    """Behind what is queued before; a limit of a workflow that is not asked for says nothing."""
    found = estimate(NEW, pace)
    assert (found and found.seconds) == seconds


def test_what_is_not_known_is_said() -> None:
    """In words and in JSON: nothing unknown looks like none."""
    quote = Quote("product", bought=None, new=NEW)
    text = told(quote, Pace(), Prices())
    assert "bought      not known" in text
    assert "time        not known: no limit is set here" in text
    found: Any = document(quote, Pace(), PRICES, ["n"])
    assert (found["boughtAlready"], found["seconds"], found["ahead"]) == (None, None, None)
    assert found["cost"] == {
        "byWorkflow": {"IMAGE2VIDEO": "21.00", "TEXT2IMAGE": None}, "total": None, "currency": "USD",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "1 s"), (89, "89 s"), (1800, "30 min"), (12000, "3 h 20 min"), (187200, "2 d 4 h")],
)
def test_durations_are_short(seconds: float, words: str) -> None:
    """Two units at most."""
    assert duration(seconds) == words
