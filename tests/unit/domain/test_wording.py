"""Numbers in words."""

from __future__ import annotations

import pytest

from worker.domain.wording import age, counted


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "?"),
        (4.23, "4.2 s"),
        (119.0, "119.0 s"),
        (720.0, "12.0 min"),
        (12_600.0, "3.5 h"),
        (181_440.0, "2.1 d"),
    ],
)
def test_an_age_has_the_unit_of_which_it_is_two_at_least(seconds: float | None, words: str) -> None:
    """None is one that nobody knows."""
    assert age(seconds) == words


@pytest.mark.parametrize(("count", "words"), [(0, "0 entries"), (1, "1 entry"), (1200, "1,200 entries")])
def test_a_number_of_things_has_their_plural(count: int, words: str) -> None:
    """One that is not made by an s is given."""
    assert counted(count, "entry", "entries") == words
    assert counted(2, "job") == "2 jobs"
