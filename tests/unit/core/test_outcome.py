"""The outcome table, row by row, and the answers that no table foresees."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.outcome import Failure, Kind, Outcome, Reply, classify

SYS = "INTCNN_COMMON_SYS_ERROR"
PARAM = "INTCNN_COMMON_PARAM_VALID_ERROR"
AUTH = "INTCNN_COMMON_AUTH_CHECK_ERROR"
NOT_FOUND = "INTCNN_COMMON_NOT_FOUND"
NOW = 1_800_000_000.0
NOW_DATE = "Fri, 15 Jan 2027 08:00:00 GMT"


def answer(success: Any, model: Any = None, code: Any = None, message: Any = None) -> bytes:
    fields = {"success": success, "model": model, "errorCode": code, "errorMsg": message}
    return json.dumps(fields).encode()


def of(status: int, body: bytes = b"", **headers: Any) -> Outcome:
    return classify(Reply(status, body, **headers), now=NOW)


@pytest.mark.parametrize("status", [200, 201, 429, 500, 302])
def test_a_task_id_is_acceptance_whatever_the_status(status: int) -> None:
    """Where the vendor's application says yes and names the task, the job is bought."""
    assert of(status, answer(True, "28fdf560")) == Outcome(
        Kind.ACCEPTED, task_id="28fdf560", http_status=status
    )


@pytest.mark.parametrize("model", [None, "", " ", 7, True, [], {}, "x" * 257, "a\nb", "\ud800"], ids=repr)
def test_success_without_a_usable_task_id_is_unknown(model: Any) -> None:
    """It may have been bought, and nobody knows under which id."""
    outcome = of(200, answer(True, model))
    assert (outcome.kind, outcome.error_code) == (Kind.UNKNOWN, "AIGC_NO_TASK_ID")


@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500, 502, 503])
@pytest.mark.parametrize("colon", ["", ":"])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (SYS, Kind.VENDOR_FAULT),
        (PARAM, Kind.REJECTED),
        (AUTH, Kind.MISCONFIGURED),
        (NOT_FOUND, Kind.MISCONFIGURED),
    ],
)
def test_a_known_code_decides_whatever_the_status(status: int, colon: str, code: str, kind: Kind) -> None:
    """The vendor's own code wins over HTTP's, and reads the same with its trailing colon."""
    outcome = of(status, answer(False, None, code + colon, "why"))
    assert (outcome.kind, outcome.error_code, outcome.error_msg) == (kind, code, "why")
    assert outcome.http_status == status


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Kind.REJECTED),
        (403, Kind.REJECTED),
        (500, Kind.REJECTED),
        (429, Kind.THROTTLED),
        (503, Kind.THROTTLED),
    ],
)
def test_an_unknown_code_is_the_jobs_fault_unless_the_status_speaks_of_load(status: int, kind: Kind) -> None:
    """Any other vendor code rejects the job; with 429 or 503 the status says what the code means."""
    outcome = of(status, answer(False, None, "INTCNN_NEW_CODE"))
    assert (outcome.kind, outcome.error_code) == (kind, "INTCNN_NEW_CODE")


@pytest.mark.parametrize("code", [None, "", " : "])
@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, Kind.REJECTED), (429, Kind.THROTTLED), (502, Kind.UNKNOWN), (404, Kind.MISCONFIGURED)],
)
def test_a_refusal_without_a_code_falls_back_on_the_status(code: Any, status: int, kind: Kind) -> None:
    """A 2xx that says no is a no; elsewhere the JSON adds nothing to the status."""
    outcome = of(status, answer(False, None, code))
    assert (outcome.kind, outcome.error_code) == (kind, "AIGC_NO_ERROR_CODE")


FOREIGN_BODIES = [b"", b"<html>502</html>", b'{"error": "slow down"}', b'{"success": "true", "model": "t"}']


@pytest.mark.parametrize("body", FOREIGN_BODIES)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, Kind.THROTTLED),
        (503, Kind.THROTTLED),
        *((status, Kind.REJECTED) for status in (400, 413, 422)),
        *((status, Kind.MISCONFIGURED) for status in (401, 403, 404, 300, 301, 302, 304, 307, 308, 399)),
        *((status, Kind.UNKNOWN) for status in (500, 501, 502, 504, 599)),
        *((status, Kind.UNKNOWN) for status in (100, 199, 402, 405, 408, 409, 418, 600, 999, 0, -1)),
    ],
)
def test_without_the_vendors_json_the_status_decides(status: int, kind: Kind, body: bytes) -> None:
    """Each status of the table has its row; every other one is Unknown."""
    outcome = of(status, body)
    assert (outcome.kind, outcome.error_code) == (kind, f"AIGC_HTTP_{status}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b"[]",
        b"null",
        b"{}",
        b"NaN",
        answer(1, "t"),
        answer("true", "t"),
        answer(None, "t"),
        answer(False, None, 5),
        answer(False, None, ["x"]),
        b'{"success": true, "model": "t", "errorCode": NaN}',
        b'{"success": true, "model": "t", "errorMsg": Infinity}',
        b'{"success": true, "model": "\xff"}',
        '{"success": true, "model": "t"}'.encode("utf-16"),
        answer(True, "t")[:-1],
        answer(True, "t") + b"x",
        b"[" * 200_000,
        b'{"success":' * 200_000,
        b'{"success": true, "model": ' + b"9" * 10_000 + b"}",
    ],
    ids=lambda body: repr(body[:50]),
)
def test_a_2xx_that_is_not_the_vendors_json_is_unknown(body: bytes) -> None:
    """Garbage behind a 200 may hide an acceptance."""
    outcome = of(200, body)
    assert (outcome.kind, outcome.error_code) == (Kind.UNKNOWN, "AIGC_NOT_JSON")


def test_a_truncated_2xx_is_unknown_and_says_so() -> None:
    """An answer cut off before its end is told from one that is not JSON."""
    outcome = of(200, answer(True, "t")[:-5], truncated=True)
    assert (outcome.kind, outcome.error_code) == (Kind.UNKNOWN, "AIGC_TRUNCATED")


def test_a_whole_answer_counts_even_if_more_was_announced() -> None:
    """A complete JSON object names the task, though the connection broke in the padding behind it."""
    assert of(200, answer(True, "t"), truncated=True).kind is Kind.ACCEPTED


def test_a_byte_order_mark_is_not_held_against_the_vendor() -> None:
    """UTF-8 with a byte order mark reads as the same JSON."""
    assert of(200, b"\xef\xbb\xbf" + answer(True, "t")).kind is Kind.ACCEPTED


@pytest.mark.parametrize(
    ("failure", "kind", "code"),
    [
        (Failure(False, "refused"), Kind.NOT_SENT, "AIGC_NOT_SENT"),
        (Failure(False, "connect", timed_out=True), Kind.NOT_SENT, "AIGC_NOT_SENT"),
        (Failure(True, "reset"), Kind.UNKNOWN, "AIGC_CONNECTION_LOST"),
        (Failure(True, "silence", timed_out=True), Kind.UNKNOWN, "AIGC_READ_TIMEOUT"),
    ],
)
def test_a_failure_is_not_sent_or_unknown(failure: Failure, kind: Kind, code: str) -> None:
    """What may have left this machine is Unknown; only what surely did not is NotSent."""
    assert classify(failure) == Outcome(kind, error_code=code, error_msg=failure.detail)


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


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
envelopes = st.fixed_dictionaries(
    {},
    optional={
        "success": st.booleans() | json_values,
        "model": json_values,
        "errorCode": st.sampled_from([SYS, PARAM + ":", AUTH]) | json_values,
        "errorMsg": json_values,
    },
)
bodies = st.binary() | st.builds(lambda value: json.dumps(value).encode(), json_values | envelopes)
replies = st.builds(
    Reply,
    st.integers(-1, 1000),
    bodies,
    st.none() | st.text() | st.sampled_from(["0", NOW_DATE, "Mon, 99 Foo 0000 99:99:99 +9999"]),
    st.none() | st.text() | st.sampled_from([NOW_DATE, "Mon, 01 Jan 0001 00:00:00 +2359"]),
    st.booleans(),
)


@given(reply=replies, now=st.none() | st.floats(0, 4e9))
def test_no_answer_makes_classify_raise(reply: Reply, now: float | None) -> None:
    """Any bytes with any headers make an outcome whose texts are bounded and whose numbers are sane."""
    outcome = classify(reply, now=now)
    assert (outcome.kind is Kind.ACCEPTED) == (outcome.task_id is not None)
    assert (outcome.kind is Kind.ACCEPTED) == (outcome.error_code is None)
    assert 0 <= (outcome.retry_after_s or 0) <= 86_400
    f"{outcome.task_id}{outcome.error_code}{outcome.error_msg}".encode()


@given(cut=st.integers(0, 200), truncated=st.booleans())
def test_no_prefix_of_an_acceptance_is_an_acceptance(cut: int, truncated: bool) -> None:
    """However an answer is cut short, it is Unknown, never accepted and never refused."""
    body = answer(True, "28fdf560-249a-4712-adcc-906c0346602b")
    outcome = of(200, body[: min(cut, len(body) - 1)], truncated=truncated)
    assert outcome.kind is Kind.UNKNOWN
