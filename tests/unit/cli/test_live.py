"""What `aigc top` shows, and how it counts: from values, without a terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from tests.unit.cli.found import HOSTILE, WORKER, found
from worker.cli.live.loop import limits_in_words
from worker.cli.live.rates import WINDOW_S, Totals, rates, totals, within
from worker.cli.live.view import Seen, drawn, one_line, sentence
from worker.cli.tables import cells_of
from worker.config.settings import Limits
from worker.store.metric_fields import counted

OPEN = {"open": True, "since_s": 90.0, "next_probe_s": 1.0, "probing": None, "cause": "HTTP 500"}
QUEUED = {"queued": {"aigc": {"messages": 1, "jobs_about": 50}}}


def seen(document: dict[str, Any] | None, **changes: Any) -> Seen:
    values: dict[str, Any] = {
        "rates": None, "spent": 0.0, "old_s": 0.0, "away": "", "limits": "5 posts/s", "currency": "USD",
        **changes,
    }  # fmt: skip
    return Seen(document, **values)


def at(seconds: float, attempts: int = 0, submitted: int = 0, counts: tuple[int, ...] = ()) -> Totals:
    full = [*counts, *([0] * (12 - len(counts)))]
    return Totals(seconds, attempts, {"submitted": submitted}, full, 0.0)


def rows(what: Seen, width: int = 80, height: int = 24) -> list[str]:
    return drawn(what, "12:00:00Z", 2.0, width, height).plain.split("\n")


@pytest.mark.parametrize(
    ("what", "words", "style"),
    [
        (seen(None), "Asking Redis", ""),
        (seen(None, away="refused"), "Redis does not answer: refused", "bad"),
        (seen(found(), away="x", old_s=300.0), "from 5.0 min ago", "bad"),
        (seen(found(workers=[], jobs=QUEUED)), "No worker consumes, 50 jobs wait", "bad"),
        (seen(found(brake=OPEN, paused=["*"])), "The vendor is down for 90.0 s", "bad"),
        (seen(found(paused=["*"], warnings=["w"])), "Paused", "odd"),
        (seen(found(warnings=["w"], jobs={"unknown": 1})), "1 worker, 1 warning", "bad"),
        (seen(found(jobs={"unknown": 2})), "2 unknown jobs held for a decision", "odd"),
        (seen(found(jobs=QUEUED)), "Running on 1 worker, 50 jobs wait", "good"),
        (seen(found(jobs={"waiting": 1})), "1 job waits", "good"),
        (seen(found()), "Idle: 1 worker, nothing waits", "good"),
    ],
)
def test_the_sentence_says_the_worst_that_is_true(what: Seen, words: str, style: str) -> None:
    """So whoever looks need not weigh the numbers."""
    said, how = sentence(what)
    assert words in said
    assert how == style


def test_the_page_has_all_that_is_asked_of_it() -> None:
    """Queue, rates, times, hosts, breaker, limits, money, dead letters, warnings."""
    dead = {**WORKER, "host": "beta", "alive": False, "consumes": False}
    document = found(
        jobs={**QUEUED, "unknown": 1}, oldest_job_s=12.0, warnings=["the disk is full"], dead_workers=[dead]
    )
    went = rates([at(0), at(10, 100, 90, (0, 50, 50))])
    said = "\n".join(rows(seen(document, rates=went, spent=1.5), 120))
    for words in (
        "queue      aigc about 50 jobs, the oldest for 12.0 s", "10.0 attempts/s, 9.0 submitted/s, over 10 s",
        "0.10 s (p50)", "breaker closed", "limits     5 posts/s", "1.50 USD spent", "1 unknown (held)",
        "WARNING    the disk is full", "alpha  1 of 1 consume, 2 messages", "beta  0 of 1 consume",
    ):  # fmt: skip
        assert words in said, words


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 10), (20, 3), (1, 1), (200, 60)])
def test_the_page_never_exceeds_the_terminal(width: int, height: int) -> None:
    """Whatever there is to show: else it would scroll."""
    hosts = [{**WORKER, "host": f"host-{number} 主机"} for number in range(60)]
    shown = rows(seen(found(workers=hosts, warnings=["w" * 300], queue="队" * 90)), width, height)
    assert len(shown) <= max(height, 2)
    assert max(map(cells_of, shown)) <= max(width, 2)
    if height < 60:
        assert width < 20 or "lines more" in shown[-1]


def test_what_strangers_write_is_text() -> None:
    """No markup is read, no escape and no line end is left."""
    document = found(
        warnings=[HOSTILE], paused=[HOSTILE], queue=HOSTILE, workers=[{**WORKER, "host": HOSTILE}]
    )
    what = seen(document, away=HOSTILE)
    console = Console(force_terminal=True, color_system="truecolor", width=200, height=60)
    with console.capture() as captured:
        console.print(drawn(what, "12:00:00Z", 2.0, 200, 60))
    assert "[red]bold[/red]" in captured.get()
    for escape in ("\x1b]0;", "\x1b[2J", "\x1b[31m"):
        assert escape not in captured.get()
    assert one_line(what, "12:00:00Z").isprintable()


def test_the_first_line_says_that_rates_come_with_the_next() -> None:
    """One look alone tells of none."""
    line = one_line(replace(seen(found()), rates=None), "12:00:00Z")
    assert line.endswith("; rates are known at the next look")


def test_rates_are_of_the_window() -> None:
    """Older looks are dropped; the last two are kept however long ago the first of them was."""
    kept = within([at(0, 0), at(20, 10), at(40, 20)], at(50.5, 40))
    assert [each.at_s for each in kept] == [40, 50.5]
    assert within([at(0)], at(10 * WINDOW_S, 5)) == [at(0), at(10 * WINDOW_S, 5)]
    went = rates(kept)
    assert went is not None
    assert went.attempts == pytest.approx(20 / 10.5)
    assert rates([at(0)]) is None


def test_a_queue_that_was_emptied_begins_anew() -> None:
    """Its totals are smaller than before: no rate is negative."""
    assert within([at(0, 100)], at(1, 3)) == [at(1, 3)]


def test_totals_are_of_all_workflows() -> None:
    """As the settling scripts count them."""
    stored = {
        b"a|accepted|0.1|A": b"2", b"a|unknown|inf|B": b"1", b"j|submitted|1|A": b"2", b"spent|A": b"2500000"
    }  # fmt: skip
    made = totals(counted(stored), 7.0)
    assert (made.attempts, made.by_status, made.spent) == (3, {"submitted": 2}, 2.5)
    assert sum(made.attempt_counts) == 3


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(None, {}, None, 32), "none set in this environment"),
        (Limits(5.0, {"A": 1.0}, 8, 32), "5 posts/s, 8 in flight, A 1/s"),
    ],
)
def test_limits_are_said_in_words(limits: Limits, words: str) -> None:
    """Of this machine's environment, and it says so where there is none."""
    assert limits_in_words(limits) == words
