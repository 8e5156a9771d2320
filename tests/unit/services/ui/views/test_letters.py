"""Dead letters on the page: what the address asks for, and where a job's page is."""

from __future__ import annotations

import math

import pytest

from worker.services.ui.views.letters import BadQuery, LetterQuery, link_of

NOW = 1_000_000.0
LONG = "a" * 201


def test_a_filter_is_what_the_command_has() -> None:
    """Each field by itself; empty ones let all pass."""
    query = LetterQuery.read({"state": "unknown", "workflow": " A ", "code": "C", "age": "4h"})
    wanted = query.wanted(NOW)
    assert (wanted.states, wanted.workflow, wanted.code) == (("unknown",), "A", "C")
    assert (wanted.since_s, wanted.until_s) == (NOW - 14_400, math.inf)
    older = LetterQuery.read({"age": "-1d"}).wanted(NOW)
    assert (older.since_s, older.until_s) == (-math.inf, NOW - 86_400)
    nothing = LetterQuery.read({})
    assert not nothing.filters
    assert len(nothing.wanted(NOW).states) == 3


@pytest.mark.parametrize(
    "wrong", [{"state": "lost"}, {"age": "5h"}, {"window": "year"}, {"workflow": LONG}, {"code": LONG}]
)
def test_a_wrong_field_is_named(wrong: dict[str, str]) -> None:
    """With what it must be."""
    (field,) = wrong
    with pytest.raises(BadQuery, match=f"^{field}: must be "):
        LetterQuery.read(wrong)


def test_links_keep_the_filter() -> None:
    """And change what they are about."""
    query = LetterQuery.read({"state": "unknown", "workflow": "A&B", "window": "day"})
    assert query.link(state="", cursor="x") == "?workflow=A%26B&cursor=x&window=day"
    assert LetterQuery().link() == "?"


@pytest.mark.parametrize(
    ("job_id", "link"),
    [
        ("5f0c-1_a.b~", "dead-letters/5f0c-1_a.b~"),
        ("a/../b", "dead-letters/?job=a%2F..%2Fb"),
        ("..", "dead-letters/?job=.."),
        ("a b?c#d", "dead-letters/?job=a+b%3Fc%23d"),
        ("javascript:alert(1)", "dead-letters/?job=javascript%3Aalert%281%29"),
        ("//evil.example", "dead-letters/?job=%2F%2Fevil.example"),
    ],
)
def test_a_jobs_address_is_below_the_page(job_id: str, link: str) -> None:
    """Whatever its id is, no browser and no proxy makes another path of it."""
    assert link_of(job_id) == link
