"""What is asked before anything is decided."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tasks.prices import Prices
from worker.services.ui.proposals import Chosen, Proposal, Report, told
from worker.services.ui.views.proposal import question

PRICES = Prices({"A": Decimal("0.04"), "B": Decimal("0.35")}, "USD")


def job(name: str, status: str = "exhausted", workflow: str = "A") -> Chosen:
    return Chosen(name, status, workflow, b"")


def test_a_retry_says_count_cost_and_risk() -> None:
    """The sum, by workflow and in all, before it buys."""
    asked = question(Proposal("retry", (job("1"), job("2", "unknown"), job("3", workflow="B"))), PRICES)
    assert (asked.title, asked.button) == ("Retry 3 jobs?", "Retry 3 jobs")
    assert [(line.what, line.count, line.cost) for line in asked.sums] == [
        ("A", "2", "0.08 USD"),
        ("B", "1", "0.35 USD"),
    ]
    assert asked.total == "0.43 USD"
    assert asked.buys.endswith("that costs: 0.43 USD.")
    assert asked.risk == "The 1 unknown job may be paid for a second time."


def test_a_price_that_is_not_known_is_not_nothing() -> None:
    """It names the setting; the sum is the least."""
    asked = question(Proposal("retry", (job("1"), job("2", workflow="C"))), PRICES)
    assert asked.sums[1].cost == "not known: AIGC_PRICE__C is not set"
    assert asked.total == "at least 0.04 USD; the rest is not known"
    assert question(Proposal("retry", (job("2", workflow="C"),)), PRICES).total == "not known"


def test_what_was_not_kept_is_told_and_costs_nothing() -> None:
    """It cannot be queued again; to discard it nothing of it is needed."""
    gone = replace(job("2", "unknown"), is_kept=False)
    asked = question(Proposal("retry", (job("1"), gone)), PRICES)
    assert (asked.total, asked.risk, asked.can_go_on) == ("0.04 USD", "", True)
    assert asked.notes == (
        "Of 1 job the message was not kept: it is left as it is, and costs nothing. Queue it anew.",
    )
    only = question(Proposal("retry", (gone, replace(gone, job_id="3"))), PRICES)
    assert (only.can_go_on, "Of 2 jobs the message was not kept: they" in only.notes[0]) == (False, True)
    assert question(Proposal("discard", (gone,)), PRICES).notes[0].startswith("Each unknown one")


def test_other_deeds_say_what_they_do() -> None:
    """Discarding buys nothing, accepting sends nothing, resuming lets buy."""
    discard = question(Proposal("discard", (job("1", "unknown"),)), PRICES)
    assert "It is taken away for good." in discard.buys
    assert (discard.total, discard.risk) == ("", "The 1 unknown job may have been accepted.")
    accept = question(Proposal("accept", (job("1", "unknown"),), task_id="t-1"), PRICES)
    assert accept.title == "Accept the job as task t-1?"
    assert "grows by: 0.04 USD" in accept.buys
    resume = question(Proposal("resume", workflow="A", waiting=1200), PRICES)
    assert (resume.title, resume.can_go_on) == ("Resume A?", True)
    assert "1,200 jobs wait" in resume.buys
    assert question(Proposal("pause"), PRICES).title == "Pause everything?"


def test_nothing_chosen_cannot_go_on() -> None:
    """What was chosen and is gone is named; a cut is told."""
    asked = question(Proposal("retry", missing=("a", "b"), is_cut=True), PRICES)
    assert not asked.can_go_on
    assert "at most 2,000" in asked.notes[0]
    assert asked.notes[1] == "2 jobs of those that you chose cannot be decided any more: a, b"


def test_what_was_done_is_told_in_a_sentence() -> None:
    """And whether all was."""
    assert told("retry", ["done", "done"]) == "2 jobs were queued again."
    assert told("discard", ["done"]) == "1 job was discarded."
    assert told("accept", ["gone"]) == "0 of 1 job was settled as submitted."
    assert Report("retry", "", (("a", "done"),)).is_whole
    assert not Report("retry", "", (("a", "done"), ("b", "gone"))).is_whole
