"""What follows from each answer about a task, and from each try to keep its file."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.following.samples import ACCEPTED_MS, DEADLINE_MS, open_task
from worker.domain.query import (
    SUCCESS,
    Failed,
    Pending,
    QueryOutcome,
    Refused,
    Succeeded,
    TaskUnknown,
    Throttled,
    Unanswered,
)
from worker.following.decisions import (
    GROWTH,
    KEEP_FOR_S,
    LONGEST_S,
    SHORTEST_S,
    AskAgain,
    End,
    Keep,
    after_keeping,
    decide,
    finished_of,
    give_up_ms,
    keep_later,
)
from worker.keeping import Kept, NotKept
from worker.store.task_values import Learned

URL = "http://files.example/a.png"
LATER_MS = ACCEPTED_MS + 20_000
KEPT = Kept("/srv/a.png", "0" * 64, 5, "image/png")
NO_END: list[QueryOutcome] = [Pending("RUNNING", True), Unanswered("nonsense"), TaskUnknown("CODE", "no")]
NOT_HEARD: list[QueryOutcome] = [Throttled(3.0), Refused("AUTH", "no")]


def decided(outcome: QueryOutcome, now_ms: int = LATER_MS, keeps: bool = False, **task: Any) -> Any:
    return decide(outcome, open_task(**task), now_ms, 1.0, keeps=keeps)


def test_a_picture_ends_the_task_where_files_are_not_kept() -> None:
    """With the contract's fields, the vendor's word among them."""
    end = decided(Succeeded(URL))
    assert (end.output.status, end.output.url, end.output.file) == ("succeeded", URL, None)
    assert (end.output.vendor_status, end.output.job_id, end.output.workflow) == (
        "SUCCESS",
        "job-1",
        "TEXT2IMAGE",
    )
    assert (end.output.metadata, end.output.finished_at) == ({"sku": "A-1"}, "2027-01-15T08:00:20.000Z")
    assert not end.is_unstored


def test_where_files_are_kept_it_is_kept_first() -> None:
    """And since when there is one stays what it was at the first try."""
    assert decided(Succeeded(URL), keeps=True) == Keep(URL, LATER_MS)
    assert decided(Succeeded(URL), keeps=True, succeeded_ms=7) == Keep(URL, 7)


def test_a_failure_carries_the_vendors_own_word() -> None:
    """Whatever the deadline."""
    for now_ms in (LATER_MS, DEADLINE_MS + 1):
        end = decided(Failed("LW_RESULT_ERROR"), now_ms)
        assert (end.output.status, end.output.vendor_status, end.output.url) == (
            "failed",
            "LW_RESULT_ERROR",
            None,
        )
        assert end.took_ms is None


@pytest.mark.parametrize("outcome", NO_END)
def test_what_is_no_end_is_asked_again_until_the_deadline(outcome: QueryOutcome) -> None:
    """Then the task is lost, with the last word that the vendor had for it."""
    again = decided(outcome, asked=3)
    assert isinstance(again, AskAgain)
    assert again.learned.asked == 4
    lost = decided(outcome, DEADLINE_MS, vendor_status="WAITING", looked_ms=DEADLINE_MS)
    said = "RUNNING" if isinstance(outcome, Pending) else "WAITING"
    assert (lost.output.status, lost.output.vendor_status) == ("lost", said)


@pytest.mark.parametrize("looked_ms", [None, LATER_MS])
def test_one_query_without_an_answer_loses_no_task(looked_ms: int | None) -> None:
    """Past its deadline, after days without workers say, it is asked about twice at least."""
    step = decided(Unanswered("no route to host"), DEADLINE_MS + 10_000, looked_ms=looked_ms)
    assert isinstance(step, AskAgain)
    assert SHORTEST_S / 2 < step.gap_s <= LONGEST_S
    assert step.learned.asked is not None  # so that when it was asked about is noted


@pytest.mark.parametrize("outcome", NOT_HEARD)
def test_a_query_that_did_not_get_through_harms_no_task(outcome: QueryOutcome) -> None:
    """It is not counted, and does not lose the task even past its deadline."""
    for now_ms in (LATER_MS, DEADLINE_MS + 10_000_000):
        assert decided(outcome, now_ms).learned == Learned()


@given(st.integers(0, 10**12), st.floats(0.8, 1.2))
def test_gaps_grow_with_the_age_and_are_bounded(age_ms: int, jitter: float) -> None:
    """And never reach beyond the deadline, at which it is asked about once more."""
    now_ms = ACCEPTED_MS + age_ms
    step = decide(Pending("RUNNING", True), open_task(), now_ms, jitter, keeps=False)
    if now_ms >= DEADLINE_MS:
        assert isinstance(step, End)
        return
    assert isinstance(step, AskAgain)
    wanted = min(LONGEST_S, max(SHORTEST_S, GROWTH * age_ms / 1000)) * jitter
    assert step.gap_s == pytest.approx(min(wanted, (DEADLINE_MS - now_ms) / 1000))


def test_the_status_that_the_vendor_says_is_kept() -> None:
    """That of an answer that says none stays."""
    assert decided(Pending("BAKING", False)).learned == Learned(1, "BAKING")
    assert decided(Unanswered("away")).learned == Learned(1, None)
    assert decided(Unanswered("no link", SUCCESS)).learned == Learned(1, SUCCESS)


def test_a_task_whose_link_never_came_is_lost_with_the_vendors_word() -> None:
    """Else its output would say that the vendor had said nothing."""
    lost = decided(Unanswered("no link", SUCCESS), DEADLINE_MS, looked_ms=DEADLINE_MS)
    assert (lost.output.status, lost.output.vendor_status) == ("lost", SUCCESS)


def test_how_long_it_took_lies_between_the_last_look_and_this_one() -> None:
    """Of a look that came late for there were many to ask about, up to when it was due."""
    due_ms = ACCEPTED_MS + 10_000
    assert decided(Succeeded(URL), due_ms).took_ms == 5_000
    assert decided(Succeeded(URL), due_ms + 3_600_000).took_ms == 5_000
    assert decided(Succeeded(URL), due_ms, looked_ms=ACCEPTED_MS + 8_000).took_ms == 9_000
    assert decided(Succeeded(URL), due_ms, is_adopted=True).took_ms is None


def test_a_file_that_is_kept_is_in_the_output() -> None:
    """With its link, sum, length and type, and the time at which the task ended."""
    end = after_keeping(KEPT, URL, LATER_MS, open_task(), LATER_MS + 9_000, 1.0)
    assert isinstance(end, End)
    output = end.output
    assert (output.url, output.file, output.sha256, output.bytes) == (URL, KEPT.file, KEPT.sha256, 5)
    assert (output.content_type, output.finished_at) == ("image/png", "2027-01-15T08:00:20.000Z")


def test_a_store_that_is_away_is_tried_again_with_growing_gaps() -> None:
    """The link, and since when there is one, are noted with each try."""
    gaps = []
    for tries in range(12):
        step = after_keeping(
            NotKept("full", False), URL, LATER_MS, open_task(keep_tries=tries), LATER_MS, 1.0
        )
        assert isinstance(step, AskAgain)
        assert (step.learned.url, step.learned.succeeded_ms) == (URL, LATER_MS)
        assert step.learned.keep_tries == tries + 1
        gaps.append(step.gap_s)
    assert gaps == sorted(gaps)
    assert (gaps[0], gaps[-1]) == (2.0, LONGEST_S)


@pytest.mark.parametrize(
    ("kept", "now_ms"),
    [(NotKept("expired", True), LATER_MS), (NotKept("full", False), LATER_MS + int(1000 * KEEP_FOR_S))],
)
def test_a_file_that_cannot_be_kept_is_given_up(kept: NotKept, now_ms: int) -> None:
    """At once where trying again does not help, else at the link's end: succeeded, with its link."""
    end = after_keeping(kept, URL, LATER_MS, open_task(), now_ms, 1.0)
    assert isinstance(end, End)
    assert (end.output.status, end.output.url, end.output.file) == ("succeeded", URL, None)
    assert (end.is_unstored, end.reason) == (True, kept.reason)


def test_the_last_try_comes_before_the_links_end() -> None:
    """However long the gap would be."""
    url = f"{URL}?Expires={LATER_MS // 1000 + 5}&OSSAccessKeyId=k&Signature=s"
    step = after_keeping(NotKept("full", False), url, LATER_MS, open_task(keep_tries=9), LATER_MS, 1.0)
    assert isinstance(step, AskAgain)
    assert step.gap_s == 5.0


def test_a_file_that_waits_for_others_is_looked_at_before_its_links_end() -> None:
    """With half of the time still to go, however old the task is; as no try, and with its link."""
    url = f"{URL}?Expires={LATER_MS // 1000 + 20}&OSSAccessKeyId=k&Signature=s"
    old = open_task(accepted_ms=LATER_MS - 3_600_000, keep_tries=3)
    step = keep_later(Keep(url, LATER_MS), old, LATER_MS, 1.0)
    assert (step.gap_s, step.learned.url, step.learned.keep_tries) == (10.0, url, 3)
    assert keep_later(Keep(URL, LATER_MS), old, LATER_MS, 1.0).gap_s == 30.0


def test_a_link_says_until_when_to_try() -> None:
    """Where it does not, an hour; where it says a year, a day."""
    signed = f"{URL}?OSSAccessKeyId=k&Signature=s&Expires="
    assert give_up_ms(signed + f"{LATER_MS // 1000 + 60}", LATER_MS) == LATER_MS + 60_000
    assert give_up_ms(URL, LATER_MS) == LATER_MS + 1000 * KEEP_FOR_S
    assert give_up_ms(signed + f"{LATER_MS // 1000 + 10**7}", LATER_MS) == LATER_MS + 86_400_000


@pytest.mark.parametrize("outcome", [Unanswered("away"), TaskUnknown("CODE", "forgotten")])
def test_a_file_whose_link_is_known_is_kept_without_an_answer(outcome: QueryOutcome) -> None:
    """And the task is not lost at its deadline: it has ended well."""
    known: dict[str, Any] = {"url": URL, "succeeded_ms": LATER_MS}
    assert decided(outcome, DEADLINE_MS + 1, keeps=True, **known) == Keep(URL, LATER_MS)
    assert decided(outcome, DEADLINE_MS + 1, **known).output.status == "succeeded"


def test_the_files_name_is_made_of_the_day_on_which_the_task_ended() -> None:
    """And of what its job says."""
    finished = finished_of(open_task(), LATER_MS)
    assert (finished.finished_at, finished.job_id) == ("2027-01-15T08:00:20.000Z", "job-1")
    assert finished.metadata == {"sku": "A-1"}


def test_metadata_that_somebody_else_wrote_is_no_fault() -> None:
    """It is left out."""
    for text in ("no json", "[1]"):
        assert decided(Succeeded(URL), metadata=text).output.metadata == {}
