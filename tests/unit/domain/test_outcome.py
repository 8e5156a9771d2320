"""The outcome table, row by row, and the answers that no table foresees."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.envelope import task_id_in
from worker.domain.outcome import Failure, Outcome, OutcomeKind, Reply, classify

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
        (403, OutcomeKind.REJECTED),
        (500, OutcomeKind.REJECTED),
        (429, OutcomeKind.THROTTLED),
        (503, OutcomeKind.THROTTLED),
    ],
)
def test_an_unknown_code_is_the_jobs_fault_unless_the_status_speaks_of_load(
    status: int, kind: OutcomeKind
) -> None:
    """Any other vendor code rejects the job; with 429 or 503 the status says what the code means."""
    outcome = of(status, answer(False, None, "INTCNN_NEW_CODE"))
    assert (outcome.kind, outcome.error_code) == (kind, "INTCNN_NEW_CODE")


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


FOREIGN_BODIES = [
    b"",
    b"<html>502</html>",
    b'{"error": "slow down"}',
    b'{"success": "false", "model": null, "errorCode": 5}',
    b'{"success": 0, "model": ""}',
]
REFUSED_UNREAD = (405, 407, 410, 411, 414, 415, 417, 421, 426, 431, 451)


@pytest.mark.parametrize("body", FOREIGN_BODIES)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, OutcomeKind.THROTTLED),
        (503, OutcomeKind.THROTTLED),
        *((status, OutcomeKind.REJECTED) for status in (400, 413, 422)),
        *(
            (status, OutcomeKind.MISCONFIGURED)
            for status in (401, 403, 404, 300, 301, 302, 304, 307, 308, 399)
        ),
        *((status, OutcomeKind.UNKNOWN) for status in (500, 501, 502, 504, 599)),
        *((status, OutcomeKind.MISCONFIGURED) for status in REFUSED_UNREAD),
        *(
            (status, OutcomeKind.UNKNOWN)
            for status in (100, 199, 402, 406, 408, 409, 418, 425, 499, 600, 999, 0, -1)
        ),
    ],
)
def test_without_the_vendors_json_the_status_decides(status: int, kind: OutcomeKind, body: bytes) -> None:
    """Each status of the table has its row; every other one is Unknown."""
    outcome = of(status, body)
    assert (outcome.kind, outcome.error_code) == (kind, f"AIGC_HTTP_{status}")
    assert not outcome.from_application


ACCEPTANCE = answer(True, "28fdf560")
SIGNS_OF_A_PURCHASE = {
    "true as a text": answer("true", "28fdf560"),
    "true as a number": answer(1, "28fdf560"),
    "bytes behind it": ACCEPTANCE + b"\x00\x00",
    "another answer behind it": ACCEPTANCE + answer(False, None, SYS),
    "something before it": b")]}',\n" + ACCEPTANCE,
    "cut within the task id": ACCEPTANCE[:30],
    "cut behind success": ACCEPTANCE[:16],
    "cut, the task first": b'{"model": "28fdf560", "succ',
    "in UTF-16": ACCEPTANCE.decode().encode("utf-16"),
    "a NUL within": ACCEPTANCE.replace(b"{", b"{\0"),
    "in GBK": '{"success": true, "model": "28fdf560", "errorMsg": "成功"}'.encode("gbk"),
    "as a text in JSON": json.dumps({"body": ACCEPTANCE.decode()}).encode(),
    "within another object": b'{"code": 0, "data": ' + ACCEPTANCE + b"}",
    "names in capitals": b'{"Success": True, "Model": "28fdf560"}',
    "the query's names": b'{"data": {"taskId": "28fdf560", "status": "WAITING"}}',
    "a no behind the yes": ACCEPTANCE[:-1]
    + b', "success": false, "model": null, "errorCode": "%b"}' % SYS.encode(),
    "a yes behind the no": b'{"success": false, "errorCode": null, ' + ACCEPTANCE[1:],
    "a code of another type": answer(False, "28fdf560", 5),
    "NaN within": ACCEPTANCE[:-1] + b', "cost": NaN}',
}


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 405, 413, 422, 429, 500, 503])
@pytest.mark.parametrize("body", SIGNS_OF_A_PURCHASE.values(), ids=SIGNS_OF_A_PURCHASE)
def test_what_may_tell_a_purchase_is_unknown_whatever_the_status(body: bytes, status: int) -> None:
    """It is kept for people to read: a status is no reason to buy again what may have been bought."""
    outcome = of(status, body, truncated=True)
    assert outcome.kind is OutcomeKind.UNKNOWN
    assert outcome.excerpt
    assert "28f" in outcome.excerpt or "true" in outcome.excerpt


def test_the_same_said_twice_is_no_contradiction() -> None:
    """A name that stands twice with one value leaves an answer as it is."""
    assert of(200, ACCEPTANCE[:-1] + b', "model": "28fdf560"}').task_id == "28fdf560"


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
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.UNKNOWN, "AIGC_NOT_JSON")


def test_a_truncated_2xx_is_unknown_and_says_so() -> None:
    """An answer cut off before its end is told from one that is not JSON."""
    outcome = of(200, answer(True, "t")[:-5], truncated=True)
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.UNKNOWN, "AIGC_TRUNCATED")


def test_a_whole_answer_counts_even_if_more_was_announced() -> None:
    """A complete JSON object names the task, though the connection broke in the padding behind it."""
    assert of(200, answer(True, "t"), truncated=True).kind is OutcomeKind.ACCEPTED


def test_a_byte_order_mark_is_not_held_against_the_vendor() -> None:
    """UTF-8 with a byte order mark reads as the same JSON."""
    assert of(200, b"\xef\xbb\xbf" + answer(True, "t")).kind is OutcomeKind.ACCEPTED


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
    ("body", "excerpt"),
    [
        (b"", None),
        (b" \r\n", " "),
        (b"  <html>\r\n\t<h1>Bad</h1>", "<html>   <h1>Bad</h1>"),
        (b"a\x00\x1b[31m b", "a\\u0000\\u001b[31m b"),
        ("x\u202ey\u2028z".encode(), "x\\u202ey z"),
        (b"\xff\xfe{\x00}\x00", "{}"),
        (b'{"model": "\xb3\xc9"}', '{"model": "\ufffd\ufffd"}'),
        (answer(True, "\ud800"), answer(True, "\ud800").decode()),
        (b"x" * 9999, "x" * 500),
        (b"\x07" * 9999, "\\u0007" * 83 + "\\u"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_an_unknown_answer_is_excerpted_as_text_that_can_be_shown(body: bytes, excerpt: str | None) -> None:
    """At most 500 characters, printable, in any encoding, and nothing where nothing came."""
    assert of(502, body).excerpt == excerpt


@pytest.mark.parametrize("before", [340, 400, 600, 100_000])
def test_an_excerpt_shows_the_task_however_late_it_is_named(before: int) -> None:
    """A long message before it does not push it out."""
    body = json.dumps({"errorMsg": "x" * before, "success": True, "model": {"taskId": "28fdf560"}}).encode()
    excerpt = of(200, body).excerpt or ""
    assert "28fdf560" in excerpt
    assert len(excerpt) <= 500


def test_an_excerpt_does_not_show_where_an_outcome_is_printed() -> None:
    """It may quote the job's prompt: a traceback or a log must not."""
    assert "28fdf560" not in repr(of(200, answer(True, [], "28fdf560")))


@pytest.mark.parametrize(
    ("text", "task_id"),
    [
        ('{"success": true, "model": 7}', "7"),
        ('{"success":false,"model":"28fdf560-249a"}', "28fdf560-249a"),
        ('{"model": {"status": "WAITING", "taskId": "28fdf560"}}', "28fdf560"),
        ('{"body": "{\\"model\\": \\"28fdf560\\"}"}', "28fdf560"),
        ("{'task_id': '28fdf560'", "28fdf560"),
        ('{"model": null}', None),
        ('{"model": ""}', None),
        ('{"model": 7.5}', None),
        ('{"model": "two words"}', None),
        ('{"model": "[redacted]"}', None),
        ('{"model": "28fd', None),
        ("<html>", None),
    ],
)
def test_what_looks_like_a_task_id_is_found_in_an_excerpt(text: str, task_id: str | None) -> None:
    """Whole ids only: half of one would settle the job under a name that nobody knows."""
    assert task_id_in(text) == task_id


def test_reading_a_hostile_body_takes_no_longer_than_its_length() -> None:
    """A megabyte made to send a search back and forth is read at once."""
    for piece in (b"\\", b" ", b'"model"', b'"success":', b'"model":\\', b"\"'"):
        begun = time.process_time()
        of(503, piece * (1_000_000 // len(piece)))
        assert time.process_time() - begun < 2


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
    assert (outcome.kind is OutcomeKind.ACCEPTED) == (outcome.task_id is not None)
    assert (outcome.kind is OutcomeKind.ACCEPTED) == (outcome.error_code is None)
    assert 0 <= (outcome.retry_after_s or 0) <= 86_400
    f"{outcome.task_id}{outcome.error_code}{outcome.error_msg}{outcome.excerpt}".encode()
    assert (outcome.excerpt is not None) == (outcome.kind is OutcomeKind.UNKNOWN and reply.body != b"")
    assert len(outcome.excerpt or "") <= 500
    assert (outcome.excerpt or "").isprintable()


true_ish = st.sampled_from([True, 1, 1.0, 2, "true", "True", "TRUE", " true", "1", "yes", "ok", "success"])
task_ish = json_values.filter(lambda model: model is not None and model is not False and model != "")


@given(
    success=true_ish,
    model=task_ish,
    others=st.dictionaries(st.text(), json_values),
    status=st.integers(-1, 1000),
    around=st.tuples(
        st.sampled_from([b"", b"\xef\xbb\xbf", b"x("]), st.sampled_from([b"", b"\n", b")", b"\x00"])
    ),
    dump=st.fixed_dictionaries({"ensure_ascii": st.booleans(), "indent": st.none() | st.just(2)}),
)
def test_a_yes_that_names_a_task_is_never_retried_nor_given_up(
    success: Any, model: Any, others: dict[str, Any], status: int, around: tuple[bytes, bytes], dump: Any
) -> None:
    """Whatever stands around it, before it or beside it: accepted, or kept with what the vendor said."""
    text = json.dumps(others | {"success": success, "model": model}, **dump)
    outcome = of(status, around[0] + text.encode("utf-8", "surrogatepass") + around[1])
    assert outcome.kind in (OutcomeKind.ACCEPTED, OutcomeKind.UNKNOWN)
    assert outcome.task_id or outcome.excerpt


@given(
    cut=st.integers(0, 200),
    truncated=st.booleans(),
    status=st.sampled_from([200, 503]),
)
def test_no_prefix_of_an_acceptance_is_an_acceptance(cut: int, truncated: bool, status: int) -> None:
    """However an answer is cut short, it is Unknown once it says yes, never accepted and never refused."""
    body = answer(True, "28fdf560-249a-4712-adcc-906c0346602b")
    cut = min(cut, len(body) - 1) if status == 200 else 13 + cut % (len(body) - 13)
    outcome = of(status, body[:cut], truncated=truncated)
    assert outcome.kind is OutcomeKind.UNKNOWN
