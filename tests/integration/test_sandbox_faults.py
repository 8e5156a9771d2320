"""The sandbox's faults over real sockets: what a client sees of each, and what is billed."""

from __future__ import annotations

import http.client
from contextlib import closing

import pytest

from tests.integration.sandbox_client import Client, wait_for


@pytest.mark.parametrize(
    ("rule", "status", "fragment", "billed"),
    [
        ("sys_error", 200, b'"errorCode":"INTCNN_COMMON_SYS_ERROR"', 0),
        ("sys_error_500", 500, b'"errorCode":"INTCNN_COMMON_SYS_ERROR"', 0),
        ("param_error", 200, b'"INTCNN_COMMON_PARAM_VALID_ERROR"', 0),
        ("colon", 200, b'"INTCNN_COMMON_PARAM_VALID_ERROR:"', 0),
        ("auth_error", 200, b'"INTCNN_COMMON_AUTH_CHECK_ERROR"', 0),
        ("not_found", 200, b'"INTCNN_COMMON_NOT_FOUND"', 0),
        ("unknown_code", 200, b'"success":false', 0),
        ("lower_case", 200, b'" intcnn_common_param_valid_error : "', 0),
        ("status", 405, b"<html>", 0),
        ("status(431)", 431, b"<html>", 0),
        ("throttle", 429, b"<html>", 0),
        ("busy", 503, b"<html>", 0),
        ("html_502", 502, b"<html>", 0),
        ("html_504", 504, b"<html>", 1),
        ("garbage", 200, b"<html>", 1),
        ("no_task_id", 200, b'"success":true,"model":null', 1),
        ("slow(1)", 200, b'"success":true', 1),
        ("drip(0.001)", 200, b'"success":true', 1),
        ("huge(2)", 200, b'"success":true', 1),
    ],
)
def test_a_rule_in_the_prompt_shapes_the_answer(
    sandbox: Client, rule: str, status: int, fragment: bytes, billed: int
) -> None:
    """Each fault answers as documented, and bills where it says so."""
    response, body = sandbox.submit(f"a cat [[{rule}]]")
    assert (response.status, fragment in body) == (status, True)
    assert len(body) > 2_000_000 if rule.startswith("huge") else len(body) < 1000
    stats = sandbox.stats()
    assert stats["by_outcome"] == {rule.partition("(")[0]: 1}
    assert stats["accepted"] == billed


@pytest.mark.parametrize(
    ("rule", "status", "answer"),
    [
        ("accepted_status", 500, '"success":true,"model":"{}"'),
        ("accepted_status(302)", 302, '"success":true,"model":"{}"'),
        ("bom", 200, '\ufeff{{"success":true,"model":"{}"'),
        ("number_task_id", 200, '"success": true, "model": {},'),
        ("nested_task_id(503)", 503, '"success": true, "model": {{"taskId": "{}"'),
        ("long_task_id", 200, '"success":true,"model":"{}"'),
        ("trailing(429)", 429, '"success":true,"model":"{}","errorCode":null,"errorMsg":null}}\r\n<!--'),
        ("text_success", 200, '"success": "true", "model": "{}"'),
        ("contradiction", 200, '"success":true,"model":"{}"'),
        ("sys_error_with_task_id", 200, '"success":false,"model":"{}","errorCode":"INTCNN_COMMON_SYS_ERROR"'),
        ("param_error_with_task_id", 200, '"model":"{}","errorCode":"INTCNN_COMMON_PARAM_VALID_ERROR"'),
        ("auth_error_with_task_id", 200, '"model":"{}","errorCode":"INTCNN_COMMON_AUTH_CHECK_ERROR"'),
    ],
)
def test_an_odd_acceptance_names_the_task_of_the_ledger(
    sandbox: Client, rule: str, status: int, answer: str
) -> None:
    """It is billed, under the id that the answer shows, and the query interface knows that."""
    response, body = sandbox.submit(f"a cat [[{rule}]]")
    (billed,) = sandbox.call("/_sandbox/ledger")
    assert (response.status, billed["outcome"]) == (status, rule.partition("(")[0])
    assert answer.format(billed["taskId"]) in body.decode()
    assert sandbox.query(billed["taskId"])["success"]


def test_a_cut_answer_ends_behind_the_task_id(sandbox: Client) -> None:
    """The connection closes before what was announced has come; the job is billed."""
    with closing(sandbox.connect()) as connection:
        sandbox.send(connection, "a cat [[cut(503)]]")
        response = connection.getresponse()
        with pytest.raises(http.client.IncompleteRead) as caught:
            response.read()
    (billed,) = sandbox.call("/_sandbox/ledger")
    assert (response.status, caught.value.partial.decode()) == (
        503,
        f'{{"success":true,"model":"{billed["taskId"]}',
    )


@pytest.mark.parametrize(("rule", "retry_after"), [("throttle(3)", "3"), ("busy(0.5)", "1"), ("busy", None)])
def test_retry_after_is_sent_in_whole_seconds_where_asked(
    sandbox: Client, rule: str, retry_after: str | None
) -> None:
    """The argument is the header's value, rounded up."""
    assert sandbox.submit(f"[[{rule}]]")[0].getheader("Retry-After") == retry_after


@pytest.mark.parametrize(("rule", "billed"), [("reset", 0), ("reset_after_accept", 1)])
def test_a_reset_is_a_real_one(sandbox: Client, rule: str, billed: int) -> None:
    """The client's socket reports a TCP reset, not an ordinary end."""
    with closing(sandbox.connect()) as connection:
        sandbox.send(connection, f"[[{rule}]]")
        with pytest.raises(ConnectionResetError) as caught:
            connection.getresponse()
    assert not isinstance(caught.value, http.client.RemoteDisconnected)
    assert sandbox.stats()["accepted"] == billed


@pytest.mark.parametrize(("rule", "billed"), [("hang_before(0.01)", 0), ("hang(0.01)", 1)])
def test_a_hang_ends_without_an_answer(sandbox: Client, rule: str, billed: int) -> None:
    """After its bound the connection closes and not a byte has come."""
    with closing(sandbox.connect()) as connection:
        sandbox.send(connection, f"[[{rule}]]")
        with pytest.raises(http.client.RemoteDisconnected):
            connection.getresponse()
    assert sandbox.stats()["accepted"] == billed


def test_a_hang_is_over_when_the_client_leaves(sandbox: Client) -> None:
    """It is in flight while the client waits, and no longer."""
    connection = sandbox.connect()
    sandbox.send(connection, "[[hang]]")
    wait_for(lambda: bool(sandbox.stats()["in_flight"] == 1))
    connection.close()
    wait_for(lambda: bool(sandbox.stats()["in_flight"] == 0))
    assert sandbox.stats()["max_in_flight"] == 1


def _wait_for_more_posts(sandbox: Client, posts: int) -> None:
    wait_for(lambda: bool(sandbox.stats()["posts"] > posts))


def test_a_fault_finds_its_client_gone(sandbox: Client, caplog: pytest.LogCaptureFixture) -> None:
    """A client that leaves during the latency is no error of the sandbox."""
    sandbox.call("/_sandbox/latency", {"latency_ms": 1000})
    for rule in ("reset", "hang", "sys_error", "drip", "huge"):
        connection = sandbox.connect()
        posts = sandbox.stats()["posts"]
        sandbox.send(connection, f"[[{rule}]]")
        _wait_for_more_posts(sandbox, posts)
        connection.close()
        wait_for(lambda: bool(sandbox.stats()["in_flight"] == 0))
    assert caplog.records == []


def test_a_redirect_counts_who_follows_it(sandbox: Client) -> None:
    """The target is the sandbox's own, and a visit there is seen."""
    response, _ = sandbox.submit("[[redirect(307)]]")
    assert response.status == 307
    assert sandbox.stats()["redirects_followed"] == 0
    sandbox.call(str(response.getheader("Location")))
    assert sandbox.stats()["redirects_followed"] == 1


def test_a_body_fails_twice_and_is_then_accepted(sandbox: Client) -> None:
    """The count belongs to the body: another one with the same rule has its own."""
    answers = [sandbox.vendor("a cat [[sys_error*2]]")["success"] for _ in range(4)]
    assert answers == [False, False, True, True]
    assert sandbox.vendor("a dog [[sys_error*2]]")["success"] is False
    stats = sandbox.stats()
    assert (stats["posts"], stats["accepted"], stats["unique_bodies"], stats["duplicates"]) == (5, 2, 1, 1)


def test_an_outage_begins_and_ends_at_run_time(sandbox: Client) -> None:
    """Global rules come first, do not use up the prompt's own, and are replaced as a whole."""
    assert sandbox.call("/_sandbox/rules", {"rules": ["html_502"]}) == {"ok": True}
    assert sandbox.submit("[[sys_error*1]]")[0].status == 502
    sandbox.call("/_sandbox/rules", {"rules": []})
    assert [sandbox.vendor("[[sys_error*1]]")["success"] for _ in range(2)] == [False, True]
    posts = sandbox.call("/_sandbox/posts")
    assert [post["outcome"] for post in posts] == ["html_502", "sys_error", "accepted"]
    assert len(sandbox.call("/_sandbox/posts?outcome=sys_error")) == 1


def test_an_answer_too_long_to_read_does_not_harm_the_sandbox(sandbox: Client) -> None:
    """A client that hangs up on the 64 MB answer leaves nothing behind."""
    connection = sandbox.connect()
    sandbox.send(connection, "[[huge]]")
    assert len(connection.getresponse().read(1000)) == 1000
    connection.close()
    wait_for(lambda: bool(sandbox.stats()["in_flight"] == 0))
    assert sandbox.vendor("a cat")["success"]
