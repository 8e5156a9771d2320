"""Prices out of the environment."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tasks.exceptions import SettingsError
from tasks.prices import Prices


def test_prices_are_decimals_by_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another workflow's is not known, which is not nothing; a currency's case does not matter."""
    monkeypatch.setenv("AIGC_PRICE__IMAGE2VIDEO", " 0.10 ")
    monkeypatch.setenv("AIGC_PRICE__FREE", "0")
    monkeypatch.setenv("AIGC_PRICE__EMPTY", "")
    monkeypatch.setenv("AIGC_CURRENCY", "usd")
    prices = Prices.from_environ()
    assert prices.of("IMAGE2VIDEO") == Decimal("0.10")
    assert prices.of("FREE") == 0
    assert (prices.of("EMPTY"), prices.of("image2video"), prices.currency) == (None, None, "USD")


@pytest.mark.parametrize("amount", ["-1", "1,5", "1e3", "$1", "NaN", "free", "٣", "1" * 20])
def test_what_is_no_amount_is_refused(amount: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Naming the variable, and not its value."""
    monkeypatch.setenv("AIGC_PRICE__X", amount)
    monkeypatch.setenv("AIGC_CURRENCY", "dollars")
    with pytest.raises(SettingsError) as caught:
        Prices.from_environ()
    assert [line.split(" must be ")[0] for line in caught.value.problems] == [
        "AIGC_PRICE__X",
        "AIGC_CURRENCY",
    ]
    assert amount == "1" * 20 or amount not in str(caught.value)
