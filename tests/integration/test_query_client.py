"""The client of queries against servers over real sockets, well-behaved and not."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.integration.vendor_server import (
    BOUND_S,
    KEYS,
    Script,
    Server,
    dripping,
    hang,
    http,
    leave,
    reset,
    serving,
)
from worker.domain.query import (
    Pending,
    QueryOutcome,
    Refused,
    Succeeded,
    TaskUnknown,
    Throttled,
    Unanswered,
)
from worker.domain.query_signing import DEFAULT_FORM, FORMS, QueryForm, verify_query
from worker.vendor import QueryClient

URL = "http://oss.example/a.png?Expires=1"
SHORT_S = 0.4
RUNNING = Pending("RUNNING", True)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    yield from serving()


def answer(task_id: str = "t-1", status: str = "RUNNING", url: str | None = None) -> bytes:
    model = {"taskId": task_id, "status": status, "ossPath": url}
    return json.dumps({"success": True, "model": model, "errorCode": None, "errorMsg": None}).encode()


def client(
    url: str, form: QueryForm = DEFAULT_FORM, *, read_s: float = BOUND_S, **options: Any
) -> QueryClient:
    return QueryClient(
        url, KEYS.access_key, KEYS.secret_key, form, connect_timeout_s=2.0, read_timeout_s=read_s, **options
    )


def ask(url: str, task_id: str = "t-1", *, read_s: float = BOUND_S) -> QueryOutcome:
    with closing(client(url, read_s=read_s)) as asking:
        return asking.ask(task_id)


def head(request: bytes) -> tuple[str, dict[str, str]]:
    """The request's first line, and its headers by their names as they were sent."""
    first, *fields = request.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
    return first, dict(field.split(": ", 1) for field in fields)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_query_is_signed_in_its_form(serve: Callable[..., Server], form: QueryForm) -> None:
    """One GET, with the headers of that form, no body, and a signature of what is sent."""
    server = serve(http(answer()))
    with closing(client(server.url, form)) as asking:
        assert asking.ask("t-1") == RUNNING
    (request,) = server.requests
    first, fields = head(request)
    assert first == "GET /openapi/v1/aigc/queryTask?taskId=t-1 HTTP/1.1"
    assert request.endswith(b"\r\n\r\n")
    assert fields["Accept-Encoding"] == "identity"
    assert re.fullmatch(r"[0-9a-f-]{36}", fields[form.request_id_header])
    assert verify_query(
        form,
        [KEYS],
        access_key=fields["X-Access-Key"],
        signature=fields["X-Request-Sign"],
        timestamp=fields["X-Request-Timestamp"],
        uri="/openapi/v1/aigc/queryTask?taskId=t-1",
    )


@pytest.mark.parametrize("task_id", ["a b&c=d", "任务/1", "a%20b", "~a.b-c_d", "a#b?c", "..", "+"])
def test_an_odd_id_is_signed_as_it_is_sent(serve: Callable[..., Server], task_id: str) -> None:
    """Where the form signs the query, that is what arrives."""
    server = serve(http(answer(task_id)))
    form = QueryForm("get", "query", "base64", "acs")
    with closing(client(server.url, form)) as asking:
        assert asking.ask(task_id) == RUNNING
    first, fields = head(server.requests[0])
    assert verify_query(
        form,
        [KEYS],
        access_key=KEYS.access_key,
        signature=fields["X-Request-Sign"],
        timestamp=fields["X-Request-Timestamp"],
        uri=first.split(" ")[1],
    )


@pytest.mark.parametrize("task_id", ["", " ", "a\nb", "\udc80", "x" * 257])
def test_what_cannot_be_an_id_is_not_asked_about(serve: Callable[..., Server], task_id: str) -> None:
    """Nothing is sent."""
    server = serve(http(answer()))
    assert isinstance(ask(server.url, task_id), TaskUnknown)
    assert server.connections == 0


def test_each_query_is_signed_afresh_over_one_connection(serve: Callable[..., Server]) -> None:
    """Time and request id are new, the connection is kept, and no cookie is sent back."""
    server = serve(http(answer(), "200 OK", "Set-Cookie: a=b; Path=/"))
    times = iter([1000.0, 1001.5])
    with closing(client(server.url, clock=lambda: next(times))) as asking:
        assert [asking.ask("t-1"), asking.ask("t-1")] == [RUNNING] * 2
    fields = [head(request)[1] for request in server.requests]
    assert [each["X-Request-Timestamp"] for each in fields] == ["1000000", "1001500"]
    assert len({uuid.UUID(each["x-acs-request-id"]) for each in fields}) == 2
    assert not any("Cookie" in each for each in fields)
    assert server.connections == 1


def test_without_keep_alive_each_query_has_a_connection(serve: Callable[..., Server]) -> None:
    """As `AIGC_KEEPALIVE=off` has it."""
    server = serve(http(answer(), "200 OK", "Connection: close"))
    with closing(client(server.url, keep_alive=False)) as asking:
        assert [asking.ask("t-1"), asking.ask("t-1")] == [RUNNING] * 2
    assert [head(request)[1]["Connection"] for request in server.requests] == ["close", "close"]


def chunked(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


NO_ANSWER = "no answer in the vendor's format"
UTF_16 = "Content-Type: application/json; charset=utf-16"


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (http(answer(status="SUCCESS", url=URL)), Succeeded(URL)),
        (http(b"<html>", "429 Too Many", "Retry-After: 7"), Throttled(7.0)),
        (http(b"<html>", "503 Busy"), Throttled(None)),
        (http(b"", "404 Not Found"), Refused("AIGC_HTTP_404", NO_ANSWER)),
        (http(b"<html>"), Unanswered(f"HTTP 200: {NO_ANSWER}")),
        (http(answer("t-2")), Unanswered("the answer is about another task")),
        (http(gzip.compress(answer()), "200 OK", "Content-Encoding: gzip"), RUNNING),
        (http(answer().decode().encode("utf-16"), "200 OK", UTF_16), RUNNING),
        (chunked(answer()), RUNNING),
    ],
    ids=["success", "429", "503", "404", "html", "another", "gzip", "utf-16", "chunked"],
)
def test_an_answer_is_an_outcome(serve: Callable[..., Server], reply: bytes, outcome: QueryOutcome) -> None:
    """In whatever way it comes."""
    assert ask(serve(reply).url) == outcome


def cut(connection: socket.socket, _over: threading.Event) -> None:
    connection.sendall(http(answer())[:-10])
    connection.shutdown(socket.SHUT_RDWR)


def endless_head(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.is_set():
        connection.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")


def endless_body(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while not over.is_set():
        connection.sendall(b" " * 65536)


def interims(connection: socket.socket, over: threading.Event) -> None:
    while not over.is_set():
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


NO_ANSWERS: dict[str, Script | bytes] = {
    "hang": hang,
    "leave": leave,
    "reset": reset,
    "cut": cut,
    "endless head": endless_head,
    "endless body": endless_body,
    "interims": interims,
    "drip": dripping(http(answer())),
    "long drip": dripping(http(b" " * 9999)),
    "bytes": b"\x00\xff\x00\xff\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH\r\n",
    "status": b"HTTP/1.1 abc\r\n\r\n",
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nx",
    "gzip": http(b"\x1f\x8b broken", "200 OK", "Content-Encoding: gzip"),
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("script", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_what_is_no_answer_is_a_value_and_comes_in_time(
    serve: Callable[..., Server], script: Script | bytes
) -> None:
    """Nothing raises, nothing is sent twice, and no server can hold the caller or fill its memory."""
    server = serve(script)
    outcome = ask(server.url, read_s=SHORT_S)
    assert isinstance(outcome, Unanswered)
    assert KEYS.secret_key not in repr(outcome)
    assert len(server.requests) == 1


def test_of_a_cut_answer_the_status_counts(serve: Callable[..., Server]) -> None:
    """Too many queries are too many, though the page that says so breaks off."""
    reply = http(b"x" * 100, "429 Too Many", "Retry-After: 3")[:-50]

    def script(connection: socket.socket, _over: threading.Event) -> None:
        connection.sendall(reply)
        connection.shutdown(socket.SHUT_RDWR)

    assert ask(serve(script).url) == Throttled(3.0)


def test_an_odd_line_in_the_head_is_passed_over_in_silence(
    serve: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    """urllib3 would log a traceback for each such answer."""
    reply = http(answer(), "200 OK", "X-Odd: a", " folded", "no colon here")
    assert ask(serve(reply).url) == RUNNING
    assert caplog.records == []


def test_a_bomb_is_not_unpacked(serve: Callable[..., Server]) -> None:
    """A small answer that unpacks to a large one is no answer."""
    bomb = gzip.compress(b" " * 50_000_000 + answer())
    assert isinstance(ask(serve(http(bomb, "200 OK", "Content-Encoding: gzip")).url), Unanswered)


def test_no_redirect_is_followed(serve: Callable[..., Server]) -> None:
    """Its target would get the signature."""
    target = serve(http(answer()))
    server = serve(http(b"", "302 Found", f"Location: {target.url}/"))
    assert ask(server.url) == Refused("AIGC_HTTP_302", "a redirect (HTTP 302), which is not followed")
    assert (len(server.requests), target.connections) == (1, 0)


def test_a_port_that_nobody_listens_on_is_a_value() -> None:
    """The reason says what the system said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = ask(f"http://127.0.0.1:{port}")
    assert isinstance(outcome, Unanswered)
    assert "ConnectionRefusedError" in outcome.reason


def test_a_proxy_never_sees_a_query_to_loopback_and_its_password_is_in_no_reason(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy of the environment is for the vendor, over a tunnel."""
    proxy = serve(http(b"", "407 Proxy Authentication Required"))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//user:hush@"))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert ask(serve(http(answer())).url) == RUNNING
    assert proxy.connections == 0
    outcome = ask("https://vendor.invalid")
    assert isinstance(outcome, Unanswered)
    assert "407" in outcome.reason
    assert "hush" not in outcome.reason


def test_a_connection_that_was_closed_meanwhile_costs_one_query_at_most(serve: Callable[..., Server]) -> None:
    """The next one goes over a new connection."""

    def script(connection: socket.socket, _over: threading.Event) -> None:
        connection.sendall(http(answer()))
        connection.shutdown(socket.SHUT_RDWR)

    server = serve(script)
    with closing(client(server.url)) as asking:
        assert asking.ask("t-1") == RUNNING
        heard = [asking.ask("t-1"), asking.ask("t-1")]
    assert RUNNING in heard
    assert server.connections >= 2


def test_many_threads_ask_at_once(serve: Callable[..., Server]) -> None:
    """Each over a connection of its own."""

    server = serve(http(answer()))
    heard: list[QueryOutcome] = []
    with closing(client(server.url)) as asking:
        threads = [
            threading.Thread(target=lambda: heard.extend(asking.ask("t-1") for _ in range(5)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(BOUND_S)
    assert heard == [RUNNING] * 40
    assert (server.connections, len(server.requests)) == (8, 40)


def test_a_closed_client_asks_nothing(serve: Callable[..., Server]) -> None:
    """It says so instead of raising."""
    server = serve(http(answer()))
    asking = client(server.url)
    assert asking.ask("t-1") == RUNNING
    asking.close()
    assert asking.ask("t-1") == Unanswered("RuntimeError: the client is closed")
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["http://vendor.example", "ftp://127.0.0.1", "https://"])
def test_an_endpoint_that_cannot_be_right_is_refused_at_once(url: str) -> None:
    """Before anything is asked."""
    with pytest.raises(ValueError, match="endpoint"):
        client(url)
