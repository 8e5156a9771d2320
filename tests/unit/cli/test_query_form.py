"""Finding the form of a query's signature: in which order, how often, when it ends."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from worker.cli.query_form import in_words, is_taken, tried
from worker.domain.query import (
    Failed,
    Pending,
    QueryOutcome,
    Refused,
    Succeeded,
    TaskUnknown,
    Throttled,
    Unanswered,
)
from worker.domain.query_signing import DEFAULT_FORM, FORMS, QueryForm

NO = Refused("INTCNN_COMMON_AUTH_CHECK_ERROR", "")
YES = Pending("RUNNING", True)


class Vendor:
    """Answers in turn, then always with the last one; notes what was asked, and the pauses between."""

    def __init__(self, *answers: QueryOutcome) -> None:
        self.answers = list(answers)
        self.asked: list[QueryForm] = []
        self.pauses: list[float] = []

    def ask(self, form: QueryForm) -> QueryOutcome:
        self.asked.append(form)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def tried(self, first: QueryForm = DEFAULT_FORM) -> Iterable[tuple[QueryForm, QueryOutcome]]:
        return list(tried(self.ask, first, 1.0, self.pauses.append))


def test_all_are_tried_where_none_is_taken() -> None:
    """Each once, with a pause before each but the first."""
    vendor = Vendor(NO)
    assert vendor.tried() == [(form, NO) for form in FORMS]
    assert (vendor.asked, vendor.pauses) == (list(FORMS), [1.0] * 15)


@pytest.mark.parametrize("yes", [YES, Succeeded("http://a"), Failed("TIMEOUT")])
def test_it_ends_with_the_first_that_is_taken(yes: QueryOutcome) -> None:
    """Whatever has become of the task."""
    vendor = Vendor(NO, NO, yes)
    assert vendor.tried() == list(zip(FORMS[:3], [NO, NO, yes], strict=True))


def test_what_is_set_is_tried_first() -> None:
    """And not a second time."""
    vendor = Vendor(NO)
    vendor.tried(FORMS[5])
    assert (vendor.asked[0], sorted(map(str, vendor.asked))) == (FORMS[5], sorted(map(str, FORMS)))


def test_a_task_that_is_not_known_decides_nothing() -> None:
    """The others are tried, for another one may be answered better."""
    unknown = TaskUnknown("INTCNN_COMMON_PARAM_VALID_ERROR", "")
    assert Vendor(unknown, YES).tried() == [(FORMS[0], unknown), (FORMS[1], YES)]


@pytest.mark.parametrize(
    ("said", "pauses"),
    [
        (Throttled(7.0), [7.0]),
        (Throttled(None), [10.0]),
        (Throttled(0.1), [1.0]),
        (Throttled(9999.0), [60.0]),
    ],
)
def test_a_vendor_that_has_too_many_queries_is_left_alone_for_a_while(
    said: QueryOutcome, pauses: list[float]
) -> None:
    """For as long as it says, within bounds, and then it is asked in the same form again."""
    vendor = Vendor(said, YES)
    assert vendor.tried() == [(FORMS[0], YES)]
    assert (vendor.asked, vendor.pauses) == ([FORMS[0]] * 2, pauses)


def test_where_nothing_answers_it_ends_after_three_queries() -> None:
    """Sixteen timeouts would tell no more."""
    vendor = Vendor(Unanswered("x"))
    assert vendor.tried() == [(FORMS[0], Unanswered("x"))]
    assert (len(vendor.asked), vendor.pauses) == (3, [1.0, 1.0])


def test_a_bad_moment_later_on_does_not_end_it() -> None:
    """The form is told as unanswered, and the next one is tried."""
    vendor = Vendor(NO, *[Unanswered("x")] * 3, YES)
    assert vendor.tried() == [(FORMS[0], NO), (FORMS[1], Unanswered("x")), (FORMS[2], YES)]


@pytest.mark.parametrize(
    ("outcome", "words", "taken"),
    [
        (YES, "RUNNING", True),
        (Succeeded("http://a"), "SUCCESS", True),
        (Failed("FC_ERROR"), "FC_ERROR", True),
        (Refused("A", "b"), "A: b", False),
        (NO, "INTCNN_COMMON_AUTH_CHECK_ERROR", False),
        (TaskUnknown("A", "b"), "A: b", False),
        (Throttled(None), "too many queries (HTTP 429 or 503)", False),
        (Throttled(2.5), "too many queries (HTTP 429 or 503), to be asked again in 2.5 s", False),
        (Unanswered("why"), "why", False),
    ],
)
def test_each_outcome_has_words(outcome: QueryOutcome, words: str, taken: bool) -> None:
    """And only what tells of the task means that the signature was taken."""
    assert (in_words(outcome), is_taken(outcome)) == (words, taken)
