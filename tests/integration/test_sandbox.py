"""The sandbox over real sockets: what a client sees, and what the control API says of it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from worker.dev.sandbox import Config, parse, running
from worker.dev.sandbox.server import listen
from worker.domain import signing

KEYS = signing.Credentials("sandbox-access-key", "sandbox-secret-key")
BOUND_S = 60.0


class Client:
    """Speaks to one sandbox, a connection for each request."""

    def __init__(self, url: str) -> None:
        self.address = str(urlsplit(url).netloc)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, timeout=BOUND_S)

    def send(self, connection: http.client.HTTPConnection, prompt: str, **headers: str) -> None:
        """Send a signed submit and do not read the answer."""
        algo_input = {"inputText": prompt, "width": 1024, "height": 1024}
        payload = {"workflow": "TEXT2IMAGE", "version": "1.0.0", "algoInput": algo_input}
        body = json.dumps(payload).encode()
        now_ms, request_id = int(time.time() * 1000), str(uuid.uuid4())
        right = signing.headers(KEYS, body=body, request_id=request_id, timestamp_ms=now_ms)
        connection.request("POST", signing.SUBMIT_URI, body, right | headers)

    def submit(self, prompt: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
        """Send a signed submit and read the whole answer."""
        with closing(self.connect()) as connection:
            self.send(connection, prompt, **headers)
            response = connection.getresponse()
            return response, response.read()

    def vendor(self, prompt: str, **headers: str) -> Any:
        """The vendor's JSON answer to a submit."""
        return json.loads(self.submit(prompt, **headers)[1])

    def call(self, path: str, change: object = None) -> Any:
        """GET, or POST of ``change`` as JSON; the answer's JSON."""
        with closing(self.connect()) as connection:
            method, body = ("GET", None) if change is None else ("POST", json.dumps(change))
            connection.request(method, path, body)
            return json.loads(connection.getresponse().read())

    def stats(self) -> Any:
        return self.call("/_sandbox/stats")


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; fail when it does not within a bound."""
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def _module_sandbox() -> Iterator[Client]:
    with running(Config(keys=[KEYS], keep_bodies=True)) as url:
        yield Client(url)


@pytest.fixture
def sandbox(_module_sandbox: Client) -> Client:
    """A sandbox in this process, without rules and without a past."""
    _module_sandbox.call("/_sandbox/reset", {})
    return _module_sandbox


def test_an_accepted_submit_gets_a_task_id_and_stands_in_the_ledger(sandbox: Client) -> None:
    """The answer has the vendor's four fields, and the ledger knows the same task."""
    answer = sandbox.vendor("a cat")
    task_id = answer["model"]
    assert answer == {"success": True, "model": str(uuid.UUID(task_id)), "errorCode": None, "errorMsg": None}
    (entry,) = sandbox.call("/_sandbox/ledger")
    assert entry["taskId"] == task_id
    assert json.loads(entry["body"])["algoInput"]["inputText"] == "a cat"
    assert sandbox.call(f"/openapi/v1/aigc/queryTask?taskId={task_id}")["model"]["status"] == "SUCCESS"
    assert sandbox.call("/openapi/v1/aigc/queryTask?taskId=none")["success"] is False


def test_a_connection_is_kept_alive(sandbox: Client) -> None:
    """Several submits go over one connection."""
    with closing(sandbox.connect()) as connection:
        ports = set()
        for number in range(3):
            sandbox.send(connection, f"cat {number}")
            assert json.loads(connection.getresponse().read())["success"]
            ports.add(connection.sock.getsockname()[1])
    assert len(ports) == 1


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"X-Request-Sign": "bm90IGl0"}, "INTCNN_COMMON_AUTH_CHECK_ERROR"),
        ({"x-acs-request-id": "1"}, "INTCNN_COMMON_AUTH_CHECK_ERROR"),
        ({"X-Request-Timestamp": "1741855077857"}, "INTCNN_COMMON_AUTH_CHECK_ERROR"),
        ({"Content-Type": "text/plain"}, "INTCNN_COMMON_PARAM_VALID_ERROR"),
    ],
)
def test_a_wrong_header_is_refused_in_the_vendors_words(
    sandbox: Client, headers: dict[str, str], code: str
) -> None:
    """The vendor's code comes with HTTP 200, and nothing is billed."""
    response, body = sandbox.submit("a cat", **headers)
    assert (response.status, json.loads(body)["errorCode"]) == (200, code)
    assert sandbox.stats()["accepted"] == 0


def test_a_bad_parameter_and_an_unknown_path_are_refused(sandbox: Client) -> None:
    """Each gets the code that the page gives it."""
    assert sandbox.vendor("x" * 501)["errorCode"] == "INTCNN_COMMON_PARAM_VALID_ERROR"
    assert sandbox.call("/openapi/v1/aigc/other")["errorCode"] == "INTCNN_COMMON_NOT_FOUND"
    assert sandbox.call(signing.SUBMIT_URI)["errorCode"] == "INTCNN_COMMON_NOT_FOUND"


def test_a_request_id_is_good_for_one_request(sandbox: Client) -> None:
    """A repeated id is refused as a replay, but a forged request does not use an id up."""
    request_id = {"x-acs-request-id": str(uuid.uuid4())}
    assert not sandbox.vendor("a cat", **request_id, **{"X-Request-Sign": "forged"})["success"]
    assert sandbox.vendor("a cat", **request_id)["success"]
    assert sandbox.vendor("a cat", **request_id)["errorCode"] == "INTCNN_COMMON_AUTH_CHECK_ERROR"


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
    assert sandbox.call(f"/openapi/v1/aigc/queryTask?taskId={billed['taskId']}")["success"]


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


def test_a_fault_finds_its_client_gone(sandbox: Client, caplog: pytest.LogCaptureFixture) -> None:
    """A client that leaves during the latency is no error of the sandbox."""
    sandbox.call("/_sandbox/latency", {"latency_ms": 300})
    for rule in ("reset", "hang", "sys_error", "drip", "huge"):
        connection = sandbox.connect()
        sandbox.send(connection, f"[[{rule}]]")
        wait_for(lambda: bool(sandbox.stats()["in_flight"] == 1))
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


def test_keys_change_at_run_time_and_reset_brings_the_first_back(sandbox: Client) -> None:
    """A wrong key can be made right again under a running worker."""
    sandbox.call("/_sandbox/keys", {"keys": [{"access_key": "other", "secret_key": "other"}]})
    assert sandbox.vendor("a cat")["errorCode"] == "INTCNN_COMMON_AUTH_CHECK_ERROR"
    sandbox.call("/_sandbox/reset", {})
    assert sandbox.vendor("a cat")["success"]
    assert sandbox.stats()["posts"] == 1


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("rules", {"rules": ["nonsense"]}),
        ("rules", []),
        ("latency", {"latency_ms": -1}),
        ("latency", {"latency_ms": "NaN"}),
        ("keys", {"keys": [{}]}),
        ("keys", {"keys": [{"access_key": "", "secret_key": "s"}]}),
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(sandbox: Client, path: str, change: object) -> None:
    """The control API says what is wrong, and the sandbox goes on as before."""
    assert sandbox.call(f"/_sandbox/{path}", change)["error"]
    assert sandbox.vendor("a cat")["success"]


def test_latency_passes_before_each_answer(sandbox: Client) -> None:
    """An answer takes at least the base, and the job is billed when it arrives."""
    sandbox.call("/_sandbox/latency", {"latency_ms": 100, "jitter_ms": 10})
    began = time.monotonic()
    assert sandbox.vendor("a cat")["success"]
    assert time.monotonic() - began >= 0.09  # event loops round timers to a millisecond or so
    (entry,) = sandbox.call("/_sandbox/ledger")
    assert began <= entry["arrived"] <= time.monotonic() - 0.09


def test_posts_in_flight_and_their_arrivals_are_counted(sandbox: Client) -> None:
    """The most at once is kept, and every arrival stands on the monotonic clock."""
    connections = [sandbox.connect() for _ in range(4)]
    for number, connection in enumerate(connections):
        sandbox.send(connection, f"cat {number} [[hang]]")
    wait_for(lambda: bool(sandbox.stats()["in_flight"] == 4))
    for connection in connections:
        connection.close()
    wait_for(lambda: bool(sandbox.stats()["in_flight"] == 0))
    assert sandbox.stats()["max_in_flight"] == 4
    arrivals = sandbox.call("/_sandbox/arrivals?window_s=60")
    assert arrivals["busiest_window"] == len(arrivals["arrivals"]) == 4
    assert arrivals["arrivals"] == sorted(arrivals["arrivals"])


def test_rules_of_the_start_and_the_status_of_errors_are_settings() -> None:
    """``rules`` strike from the first post on, and ``error_status`` dresses the vendor's errors."""
    with running(Config(keys=[KEYS], rules=[parse("sys_error*1")], error_status=403)) as url:
        client = Client(url)
        assert client.submit("a cat")[0].status == 403
        assert client.submit("a cat")[0].status == 200


def test_an_answer_too_long_to_read_does_not_harm_the_sandbox(sandbox: Client) -> None:
    """A client that hangs up on the 64 MB answer leaves nothing behind."""
    connection = sandbox.connect()
    sandbox.send(connection, "[[huge]]")
    assert len(connection.getresponse().read(1000)) == 1000
    connection.close()
    wait_for(lambda: bool(sandbox.stats()["in_flight"] == 0))
    assert sandbox.vendor("a cat")["success"]


def test_a_port_in_use_is_named() -> None:
    """The error says the address and the reason."""
    with closing(listen("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
            listen("127.0.0.1", port)


SERVE = """
from worker.domain.signing import Credentials
from worker.dev.sandbox import serve
serve("127.0.0.1", 0, keys=[Credentials("sandbox-access-key", "sandbox-secret-key")], rules=["hang"],
      on_ready=lambda port: print(port, flush=True))
print("served", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_returns_on_a_signal_though_a_request_hangs(number: signal.Signals) -> None:
    """The process ends by itself, with exit code 0, nothing on stderr, and the hanging client is cut off."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stdout is not None
        client = Client(f"http://127.0.0.1:{process.stdout.readline().strip()}")
        with closing(client.connect()) as connection:
            client.send(connection, "a cat")
            wait_for(lambda: bool(client.stats()["in_flight"] == 1))
            process.send_signal(number)
            with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
                connection.getresponse()
        out, err = process.communicate(timeout=BOUND_S)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out, err) == (0, "served\n", "")


def test_a_body_over_the_limit_is_refused(sandbox: Client) -> None:
    """More than a megabyte is answered with 413 and not kept."""
    host, _, port = sandbox.address.partition(":")
    with closing(socket.create_connection((host, int(port)), timeout=BOUND_S)) as raw:
        head = f"POST {signing.SUBMIT_URI} HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n"
        raw.sendall(head.encode() + b" " * 1_100_000)
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")
    assert sandbox.stats()["posts"] == 0


def test_accepted_connections_do_not_wait_for_delayed_acks() -> None:
    """Nagle's algorithm is off: it would hold each answer on a kept connection back for 40 ms."""
    with closing(listen("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
