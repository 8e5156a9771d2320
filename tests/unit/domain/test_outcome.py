"""The outcome table, row by row, and the answers that no table foresees."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.domain.replies import AUTH, NOT_FOUND, NOW, NOW_DATE, PARAM, SYS, answer, of
from worker.domain.outcome import Failure, Outcome, OutcomeKind, Reply, classify


@pytest.mark.parametrize("status", [200, 201, 429, 500, 302])
def test_a_task_id_is_acceptance_whatever_the_status(status: int) -> None:
    """Where the vendor's application says yes and names the task, the job is bought."""
    assert of(status, answer(True, "28fdf560")) == Outcome(
        OutcomeKind.ACCEPTED, task_id="28fdf560", http_status=status, from_application=True
    )


@pytest.mark.parametrize("model", [None, "", " ", 7, True, [], {}, "x" * 257, "a\nb", "\ud800"], ids=repr)
def test_success_without_a_usable_task_id_is_unknown(model: Any) -> None:
    """It may have been bought, and nobody knows under which id: what the vendor said instead is told."""
    outcome = of(200, answer(True, model))
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.UNKNOWN, "AIGC_NO_TASK_ID")
    assert (outcome.error_msg or "").startswith("success without a task id: model is ")
    assert outcome.from_application


@pytest.mark.parametrize("code", [None, 0, "", "OK", SYS, {}], ids=repr)
def test_nothing_that_stands_beside_it_takes_an_acceptance_back(code: Any) -> None:
    """Success and a task id are a purchase, whatever type the other fields have."""
    assert of(500, answer(True, "28fdf560", code, code)).task_id == "28fdf560"


TASKS_OF_SORTS: list[Any] = ["28fdf560", " ", 7, 0, True, {"taskId": "28fdf560"}, {}, [], 1e300]


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500, 503])
@pytest.mark.parametrize("code", [SYS, AUTH, PARAM, NOT_FOUND, "INTCNN_NEW_CODE", None])
def test_a_task_id_without_success_is_unknown(status: int, code: str | None) -> None:
    """A task id proves a purchase, whatever the code says: neither posted again nor given up."""
    outcome = of(status, answer(False, "28fdf560", code, "why"))
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.UNKNOWN, "AIGC_TASK_ID_WITHOUT_SUCCESS")
    assert outcome.from_application
    assert '"28fdf560"' in (outcome.excerpt or "")
    assert (code or "") in (outcome.error_msg or "")


@pytest.mark.parametrize("model", TASKS_OF_SORTS, ids=repr)
def test_a_task_id_of_any_type_counts_without_success(model: Any) -> None:
    """Only null, false and an empty text name no task."""
    assert of(200, answer(False, model, SYS)).error_code == "AIGC_TASK_ID_WITHOUT_SUCCESS"


@pytest.mark.parametrize("model", [None, False, ""], ids=repr)
def test_a_refusal_that_names_no_task_is_judged_by_its_code(model: Any) -> None:
    """What cannot be a task id leaves the table as it is."""
    assert of(200, answer(False, model, SYS)).kind is OutcomeKind.VENDOR_FAULT


def test_a_task_id_beside_the_model_counts_too() -> None:
    """The query interface calls it taskId, so a submit's answer may."""
    body = b'{"success": false, "model": null, "taskId": "28fdf560", "errorCode": "%b"}' % SYS.encode()
    assert of(200, body).error_code == "AIGC_TASK_ID_WITHOUT_SUCCESS"


@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500, 502, 503])
@pytest.mark.parametrize("colon", ["", ":", " : ", "\N{FULLWIDTH COLON}"])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (SYS, OutcomeKind.VENDOR_FAULT),
        (PARAM, OutcomeKind.REJECTED),
        (AUTH, OutcomeKind.MISCONFIGURED),
        (NOT_FOUND, OutcomeKind.MISCONFIGURED),
    ],
)
def test_a_known_code_decides_whatever_the_status(
    status: int, colon: str, code: str, kind: OutcomeKind
) -> None:
    """The vendor's own code wins over HTTP's, and reads the same with its trailing colon."""
    outcome = of(status, answer(False, None, code + colon, "why"))
    assert (outcome.kind, outcome.error_code, outcome.error_msg) == (kind, code, "why")
    assert outcome.http_status == status


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        (" intcnn_common_sys_error: ", "intcnn_common_sys_error"),
        ("Intcnn_Common_Sys_Error\t", "Intcnn_Common_Sys_Error"),
        ("\nINTCNN_COMMON_SYS_ERROR ::", SYS),
    ],
)
def test_a_known_code_is_known_in_any_case_and_between_blanks(spelling: str, code: str) -> None:
    """It decides like the page's own spelling, and is told as the vendor wrote it."""
    outcome = of(200, answer(False, None, spelling))
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.VENDOR_FAULT, code)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, OutcomeKind.REJECTED),
        (400, OutcomeKind.REJECTED),
        (404, OutcomeKind.REJECTED),
        (500, OutcomeKind.REJECTED),
        (401, OutcomeKind.MISCONFIGURED),
        (403, OutcomeKind.MISCONFIGURED),
        (429, OutcomeKind.THROTTLED),
        (503, OutcomeKind.THROTTLED),
        (502, OutcomeKind.UNKNOWN),
        (504, OutcomeKind.UNKNOWN),
    ],
)
def test_an_unknown_code_is_the_jobs_fault_unless_the_status_says_whose(
    status: int, kind: OutcomeKind
) -> None:
    """Any other vendor code rejects; but a status of load, caller or gateway says what it means."""
    outcome = of(status, answer(False, None, "INTCNN_NEW_CODE"))
    assert (outcome.kind, outcome.error_code) == (kind, "INTCNN_NEW_CODE")
    assert outcome.from_application is (kind is not OutcomeKind.UNKNOWN)


@pytest.mark.parametrize(
    ("status", "code", "perhaps"),
    [(401, "INTCNN_NEW_CODE", True), (403, "INTCNN_NEW_CODE", True), (403, AUTH, False), (403, None, False)],
)
def test_a_refusal_by_a_code_that_nobody_knows_may_be_the_jobs_own(
    status: int, code: str | None, perhaps: bool
) -> None:
    """A code of the page, or none, is surely the worker's."""
    outcome = of(status, answer(False, None, code))
    assert (outcome.kind, outcome.perhaps_the_jobs) == (OutcomeKind.MISCONFIGURED, perhaps)


@pytest.mark.parametrize("code", [None, "", " : "])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, OutcomeKind.REJECTED),
        (429, OutcomeKind.THROTTLED),
        (502, OutcomeKind.UNKNOWN),
        (404, OutcomeKind.MISCONFIGURED),
    ],
)
def test_a_refusal_without_a_code_falls_back_on_the_status(code: Any, status: int, kind: OutcomeKind) -> None:
    """A 2xx that says no is a no; elsewhere the JSON adds nothing to the status."""
    outcome = of(status, answer(False, None, code))
    assert (outcome.kind, outcome.error_code) == (kind, "AIGC_NO_ERROR_CODE")


@pytest.mark.parametrize(
    ("failure", "kind", "code"),
    [
        (Failure(False, "refused"), OutcomeKind.NOT_SENT, "AIGC_NOT_SENT"),
        (Failure(False, "connect", timed_out=True), OutcomeKind.NOT_SENT, "AIGC_NOT_SENT"),
        (Failure(True, "reset"), OutcomeKind.UNKNOWN, "AIGC_CONNECTION_LOST"),
        (Failure(True, "silence", timed_out=True), OutcomeKind.UNKNOWN, "AIGC_READ_TIMEOUT"),
    ],
)
def test_a_failure_is_not_sent_or_unknown(failure: Failure, kind: OutcomeKind, code: str) -> None:
    """What may have left this machine is Unknown; only what surely did not is NotSent."""
    assert classify(failure) == Outcome(kind, error_code=code, error_msg=failure.detail)


@pytest.mark.parametrize(
    ("sent", "kind"),
    [(False, OutcomeKind.NOT_SENT), (True, OutcomeKind.UNKNOWN)],
    ids=["not sent", "perhaps sent"],
)
def test_a_fault_of_this_machine_is_told_from_the_vendors(sent: bool, kind: OutcomeKind) -> None:
    """No descriptors left says nothing of the vendor."""
    outcome = classify(Failure(sent, "too many open files", local=True))
    assert (outcome.kind, outcome.error_code, outcome.local) == (kind, "AIGC_LOCAL_FAULT", True)
    assert not classify(Failure(sent, "reset")).local


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        (" 2.5 ", 2.5),
        ("0", 0.0),
        ("9" * 60, 86_400.0),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        ("٣", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    """Both forms of the header are read; nonsense is as good as none."""
    assert of(429, retry_after=value).retry_after_s == seconds


def test_a_retry_after_date_is_measured_on_the_vendors_clock() -> None:
    """With a Date beside it our own clock does not matter."""
    reply = Reply(503, b"", retry_after="Fri, 15 Jan 2027 08:00:30 GMT", date=NOW_DATE)
    assert classify(reply, now=0.0).retry_after_s == 30.0
    assert classify(reply).retry_after_s == 30.0


def test_misconfigured_tells_the_clocks_skew() -> None:
    """A clock an hour ahead of the vendor's Date shows as 3600 seconds, a missing Date as nothing."""
    body = answer(False, None, AUTH)
    ahead = classify(Reply(200, body, date=NOW_DATE), now=NOW + 3600)
    assert ahead.clock_skew_s == 3600.0
    assert of(200, body).clock_skew_s is None
    assert of(200, body, date="yesterday").clock_skew_s is None
    assert of(200, answer(False, None, SYS), date=NOW_DATE).clock_skew_s is None


def test_texts_are_bounded_and_fit_utf8() -> None:
    """A vendor's endless message, or one with a lone surrogate, cannot break what carries it on."""
    outcome = of(200, answer(False, None, "\ud800" * 999, "\udfff" * 9999))
    assert len(outcome.error_msg or "") == 500
    assert len(outcome.error_code or "") == 200
    f"{outcome.error_code}{outcome.error_msg}".encode()
