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
from contextlib import closing

import pytest

from tests.integration.sandbox_client import BOUND_S, KEYS, Client, wait_for
from worker.dev.sandbox import Config, parse, running
from worker.domain import signing
from worker.local.listener import listen


def test_an_accepted_submit_gets_a_task_id_and_stands_in_the_ledger(sandbox: Client) -> None:
    """The answer has the vendor's four fields, and the ledger knows the same task."""
    answer = sandbox.vendor("a cat [[task_waiting]][[task_running]]")
    task_id = answer["model"]
    assert answer == {"success": True, "model": str(uuid.UUID(task_id)), "errorCode": None, "errorMsg": None}
    (entry,) = sandbox.call("/_sandbox/ledger")
    assert entry["taskId"] == task_id
    assert json.loads(entry["body"])["algoInput"]["inputText"].startswith("a cat")
    assert sandbox.query(task_id)["model"]["status"] == "SUCCESS"
    assert sandbox.query("none")["errorCode"] == "INTCNN_COMMON_PARAM_VALID_ERROR"


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
