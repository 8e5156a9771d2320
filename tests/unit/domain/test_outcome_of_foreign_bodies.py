"""Answers that are not the vendor's JSON: what the status says, unless the body may tell a purchase."""

from __future__ import annotations

import json

import pytest

from tests.unit.domain.replies import SYS, answer, of
from worker.domain.outcome import OutcomeKind

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
