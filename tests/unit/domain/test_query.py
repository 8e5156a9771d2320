"""What an answer to a query says of the task."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.query import (
    FAILURE_STATUSES,
    Failed,
    Pending,
    QueryOutcome,
    Refused,
    Succeeded,
    TaskUnknown,
    Throttled,
    Unanswered,
    read_query_answer,
)

URL = "http://oss.example/a.png?Expires=1&Signature=b%2Fc%3D"
OURS: dict[str, Any] = {"taskId": "t-1", "status": "RUNNING", "ossPath": None}


def body(model: object = None, success: object = True, code: object = None, message: object = None) -> bytes:
    return json.dumps({"success": success, "model": model, "errorCode": code, "errorMsg": message}).encode()


def read(content: bytes, status: int = 200, **headers: str) -> QueryOutcome:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_query_answer(status, named, content, "t-1", now=1000.0)


def of_model(**changes: object) -> QueryOutcome:
    return read(body(OURS | changes))


def refusal(code: object, status: int = 200, **fields: Any) -> QueryOutcome:
    return read(body(success=False, code=code, message="said", **fields), status)


@pytest.mark.parametrize("status", ["WAITING", "RUNNING"])
def test_a_task_that_has_not_ended(status: str) -> None:
    """The two statuses of the page are known."""
    assert of_model(status=status) == Pending(status, True)


@pytest.mark.parametrize("status", ["QUEUEING", "SUCCEEDED", "失败", "x" * 64])
def test_a_status_that_nobody_knows_has_not_ended(status: str) -> None:
    """It is told as it came."""
    assert of_model(status=status) == Pending(status, False)


def test_a_long_status_is_cut() -> None:
    """Nobody's log is flooded by it."""
    assert of_model(status="x" * 1000) == Pending("x" * 64, False)


@pytest.mark.parametrize("status", sorted(FAILURE_STATUSES))
def test_a_task_that_failed(status: str) -> None:
    """Each of the seven, whatever stands beside it."""
    assert of_model(status=status) == Failed(status)
    assert of_model(status=status, ossPath=URL) == Failed(status)


def test_there_are_seven_failures() -> None:
    """Those of the vendor's page."""
    assert len(FAILURE_STATUSES) == 7


@pytest.mark.parametrize(
    ("given_url", "url"),
    [
        (URL, URL),
        (f" {URL}\n", URL),
        ("HTTPS://A.example/b", "HTTPS://A.example/b"),
        ("http://[::1]/a", "http://[::1]/a"),
    ],
)
def test_a_task_that_succeeded_has_a_url(given_url: str, url: str) -> None:
    """As it came, but for blanks around it."""
    assert of_model(status="SUCCESS", ossPath=given_url) == Succeeded(url)


@pytest.mark.parametrize(
    "url",
    [None, "", " ", 3, [URL], {}, "oss://bucket/a", "/a.png", "http://", "http:///a", "http://[::1", "a b", "http://a/\nb",
     "http://a/ b", "javascript:x", "http://a/" + "x" * 9000],
)  # fmt: skip
def test_success_without_a_url_is_no_answer(url: object) -> None:
    """The task is asked about again."""
    outcome = of_model(status="SUCCESS", ossPath=url)
    assert isinstance(outcome, Unanswered)
    assert outcome.vendor_status == "SUCCESS"


@pytest.mark.parametrize(
    ("given_status", "outcome"), [(" waiting ", Pending("WAITING", True)), ("timeout", Failed("TIMEOUT"))]
)
def test_a_status_is_read_regardless_of_case(given_status: str, outcome: QueryOutcome) -> None:
    """And of blanks around it; it is told as the page has it."""
    assert of_model(status=given_status) == outcome


@pytest.mark.parametrize("named", ["t-2", "T-1", " t-1", 1, ["t-1"], ""])
def test_an_answer_about_another_task_is_none(named: object) -> None:
    """Else a picture could end up on another product's page."""
    assert isinstance(of_model(taskId=named, status="SUCCESS", ossPath=URL), Unanswered)


def test_an_answer_that_names_no_task_counts() -> None:
    """The URL named it."""
    assert read(body({"status": "FC_ERROR"})) == Failed("FC_ERROR")
    assert of_model(taskId=None) == Pending("RUNNING", True)


@pytest.mark.parametrize(
    "model",
    [None, "t-1", 1, [], [OURS], {}, OURS | {"status": None}, OURS | {"status": 3}, OURS | {"status": " "}],
)
def test_success_without_a_status_is_no_answer(model: object) -> None:
    """Whatever type stands in its place."""
    assert isinstance(read(body(model)), Unanswered)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("INTCNN_COMMON_SYS_ERROR", Unanswered("INTCNN_COMMON_SYS_ERROR: said")),
        ("INTCNN_COMMON_AUTH_CHECK_ERROR", Refused("INTCNN_COMMON_AUTH_CHECK_ERROR", "said")),
        ("INTCNN_COMMON_NOT_FOUND", Refused("INTCNN_COMMON_NOT_FOUND", "said")),
        ("INTCNN_COMMON_PARAM_VALID_ERROR", TaskUnknown("INTCNN_COMMON_PARAM_VALID_ERROR", "said")),
        (" intcnn_common_param_valid_error : ", TaskUnknown("INTCNN_COMMON_PARAM_VALID_ERROR", "said")),
        ("INTCNN_AIGC_NO_SUCH_TASK", TaskUnknown("INTCNN_AIGC_NO_SUCH_TASK", "said")),
    ],
)
def test_what_the_vendors_codes_mean(code: str, outcome: QueryOutcome) -> None:
    """By the code, whatever the HTTP status is, with or without a colon and in any case."""
    assert refusal(code) == outcome
    assert refusal(code.upper(), 400) == refusal(code.upper(), 200)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_code_that_the_page_does_not_name_leaves_it_to_the_status(status: int) -> None:
    """A disabled key refuses every query alike."""
    assert refusal("INTCNN_AIGC_KEY_DISABLED", status) == Refused("INTCNN_AIGC_KEY_DISABLED", "said")
    assert isinstance(refusal("INTCNN_AIGC_OVERLOADED", 500), Unanswered)


@pytest.mark.parametrize("code", [None, "", " : "])
def test_no_success_and_no_code_is_no_answer(code: object) -> None:
    """A gateway that happens to speak JSON."""
    assert isinstance(refusal(code), Unanswered)


def test_a_failure_that_comes_as_a_refusal_counts_where_it_names_the_task() -> None:
    """The status ends it; without our task's id it may be about anything."""
    assert refusal("INTCNN_AIGC_FAILED", model=OURS | {"status": "TIMEOUT"}) == Failed("TIMEOUT")
    assert isinstance(refusal("INTCNN_AIGC_FAILED", model={"status": "TIMEOUT"}), TaskUnknown)
    assert isinstance(
        refusal("INTCNN_AIGC_FAILED", model=OURS | {"status": "SUCCESS", "ossPath": URL}), TaskUnknown
    )


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "Thu, 01 Jan 1970 00:17:00 GMT"}, 20.0),
        ({"retry_after": "999999999"}, 86400.0),
    ],
)
def test_too_many_queries(status: int, headers: dict[str, str], seconds: float | None) -> None:
    """Whatever the body is; Retry-After is obeyed in both of its forms, and bounded."""
    assert read(b"<html>", status, **headers) == Throttled(seconds)
    assert read(body(success=False, code="INTCNN_COMMON_SYS_ERROR"), status, **headers) == Throttled(seconds)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 401, 403, 404, 405, 407])
def test_what_all_queries_have_in_common_is_refused(status: int) -> None:
    """Nothing is said of the task."""
    assert read(b"<html>", status) == Refused(f"AIGC_HTTP_{status}", read(b"<html>", status).message)  # type: ignore[union-attr]


@pytest.mark.parametrize("status", [400, 410, 414, 422])
def test_what_may_be_about_this_id_is_of_the_task(status: int) -> None:
    """One bad id cannot stop the others."""
    assert isinstance(read(b"<html>", status), TaskUnknown)


@pytest.mark.parametrize("status", [100, 200, 204, 206, 408, 409, 500, 502, 504, 599])
@pytest.mark.parametrize(
    "content", [b"", b"<html>", b'{"success": tr', b"null", b"[]", b'{"success": "true"}']
)
def test_what_is_no_answer_is_asked_again(status: int, content: bytes) -> None:
    """Nonsense, half an answer, a gateway."""
    assert isinstance(read(content, status), Unanswered)


def test_a_right_answer_counts_whatever_the_http_status() -> None:
    """The vendor's own JSON decides."""
    assert read(body(OURS | {"status": "SUCCESS", "ossPath": URL}), 503) == Succeeded(URL)


def test_two_values_under_one_name_are_no_answer() -> None:
    """Parsers differ in which they believe."""
    content = body(OURS)[:-1] + b', "model": {"status": "SUCCESS"}}'
    assert isinstance(read(content), Unanswered)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["taskId", "status", "ossPath"]) | st.text(), inner)
    ),
    max_leaves=5,
)


answers = st.fixed_dictionaries(
    {},
    optional={
        "success": st.booleans() | json_values,
        "model": json_values,
        "errorCode": json_values,
        "errorMsg": json_values,
    },
)


@given(st.integers(0, 999), answers, st.dictionaries(st.sampled_from(["retry-after", "date"]), st.text()))
def test_any_json_is_an_outcome(status: int, answer: dict[str, Any], headers: dict[str, str]) -> None:
    """Nothing raises, and what is kept of it is bounded and can be written in UTF-8."""
    content = json.dumps(answer).encode()
    outcome = read_query_answer(status, headers, content, "t-1")
    text = repr(outcome)
    assert len(text) < 9000
    for name in ("url", "reason", "code", "message", "vendor_status"):
        (getattr(outcome, name, "") or "").encode()


@given(st.integers(0, 999), st.binary(max_size=200))
def test_any_bytes_are_an_outcome(status: int, content: bytes) -> None:
    """Nothing raises."""
    assert read_query_answer(status, {}, content, "t-1") is not None
