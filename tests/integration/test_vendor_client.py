"""The vendor client against real sockets: every way an attempt can go, and how long it may take."""

from __future__ import annotations

import gzip
import select
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.integration.vendor_server import (
    ACCEPTED,
    BODY,
    BOUND_S,
    KEYS,
    Script,
    Server,
    begin,
    dripping,
    finish,
    hang,
    http,
    leave,
    post,
    reset,
    serving,
    vendor,
)
from worker.domain.outcome import Failure, Outcome, OutcomeKind, Reply, classify
from worker.domain.signing import SUBMIT_URI, verify
from worker.vendor import ANSWER_MAX_BYTES, Client, Connection, Exchange
from worker.vendor import connection as vendor_connection
from worker.vendor.connector import Connector


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts a server with a script, or with one answer for every request; `tls=True` over TLS."""
    yield from serving()


def test_an_accepted_submit_is_signed_over_the_bytes_that_arrive(serve: Callable[..., Server]) -> None:
    """The server can verify the signature over the very bytes it read, and the answer comes back whole."""
    server = serve(http(ACCEPTED, "200 OK", "Date: Fri, 15 Jan 2027 08:00:00 GMT", "Retry-After: 3"))
    reply = post(server.url)
    assert reply == Reply(200, ACCEPTED, retry_after="3", date="Fri, 15 Jan 2027 08:00:00 GMT")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    sent = dict(field.split(": ", 1) for field in fields)
    assert line == f"POST {SUBMIT_URI} HTTP/1.1"
    assert body == BODY
    assert sent["Content-Type"] == "application/json"
    assert sent["x-acs-request-id"] == "request-1"
    assert verify(
        [KEYS],
        access_key=sent["X-Access-Key"],
        signature=sent["X-Request-Sign"],
        timestamp=sent["X-Request-Timestamp"],
        uri=SUBMIT_URI,
        body=body,
    )


def test_one_connection_is_used_again(serve: Callable[..., Server]) -> None:
    """Ten requests, one after the other, travel over one connection."""
    server = serve(http(ACCEPTED))
    client = vendor(server.url)
    for _ in range(10):
        assert isinstance(post(client), Reply)
    assert (len(server.requests), server.connections) == (10, 1)


def test_requests_at_the_same_time_have_a_connection_each(serve: Callable[..., Server]) -> None:
    """Four that are out together hold four connections, which the next four use again."""
    server = serve(http(ACCEPTED))
    client = vendor(server.url)
    for _ in range(5):
        exchanges = [begin(client) for _ in range(4)]
        for exchange in exchanges:
            assert isinstance(exchange, Exchange)
            assert finish(client, exchange) == Reply(200, ACCEPTED)
    assert (len(server.requests), server.connections) == (20, 4)


def test_the_connection_used_last_is_used_next(serve: Callable[..., Server]) -> None:
    """So the others grow stale, and are closed one by one when something is kept."""
    server = serve(http(ACCEPTED))
    client = vendor(server.url)
    first, second = client.connect(), client.connect()
    assert isinstance(first, Connection)
    assert isinstance(second, Connection)
    client.keep(first)
    client.keep(second)
    assert client.idle() is second
    assert client.idle() is first
    assert client.idle() is None


def test_a_stale_connection_is_closed_when_another_is_kept(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it would never be asked for."""
    server = serve(http(ACCEPTED))
    client = vendor(server.url)
    eldest, other = client.connect(), client.connect()
    assert isinstance(eldest, Connection)
    assert isinstance(other, Connection)
    client.keep(eldest)
    monkeypatch.setattr(vendor_connection, "IDLE_MAX_S", 0.0)
    client.keep(other)
    assert (eldest.fileno(), other.fileno(), client.idle()) == (-1, -1, None)


def test_a_closed_client_keeps_nothing(serve: Callable[..., Server]) -> None:
    """A request after that opens a new connection."""
    server = serve(http(ACCEPTED))
    client = vendor(server.url)
    assert post(client) == Reply(200, ACCEPTED)
    client.close()
    assert client.idle() is None
    assert post(client) == Reply(200, ACCEPTED)
    assert server.connections == 2


def test_a_connection_idle_for_long_is_not_trusted(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server may be about to close is dropped before the next request, not after."""
    server = serve(http(ACCEPTED))
    client = vendor(server.url)
    post(client)
    monkeypatch.setattr(vendor_connection, "IDLE_MAX_S", 0.0)
    post(client)
    assert server.connections == 2


def test_a_connection_that_the_server_closed_is_replaced(serve: Callable[..., Server]) -> None:
    """A close that has arrived by the time of the next post costs nothing."""

    left = threading.Semaphore(0)

    def answer_and_leave(connection: socket.socket, _over: threading.Event) -> None:
        connection.sendall(http(ACCEPTED))
        connection.shutdown(socket.SHUT_RDWR)
        left.release()

    server = serve(answer_and_leave)
    client = vendor(server.url)
    for _ in range(3):
        assert isinstance(post(client), Reply)
        assert left.acquire(timeout=BOUND_S)
    assert (len(server.requests), server.connections) == (3, 3)


def test_a_chunked_answer_keeps_its_connection(serve: Callable[..., Server]) -> None:
    """Many gateways answer in chunks: that costs no new TLS handshake a job."""
    half = len(ACCEPTED) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (ACCEPTED[:half], ACCEPTED[half:]))
    server = serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    client = vendor(server.url)
    for _ in range(3):
        assert post(client) == Reply(200, ACCEPTED)
    assert (len(server.requests), server.connections) == (3, 1)


def test_an_answer_that_nobody_asked_for_is_given_to_nobody(serve: Callable[..., Server]) -> None:
    """A server that answers twice does not make the next job's answer of its second."""
    answers = iter(range(9))

    def answer_twice(connection: socket.socket, _over: threading.Event) -> None:
        number = b"%d" % next(answers)
        connection.sendall(http(number) + http(b"surplus"))

    server = serve(answer_twice)
    client = vendor(server.url)
    assert [post(client) for _ in range(3)] == [Reply(200, b"%d" % n) for n in range(3)]
    assert server.connections == 3


SYS_ERROR = b'{"success":false,"errorCode":"INTCNN_COMMON_SYS_ERROR"}'
OTHER_BODY = BODY.replace(b"{}", b'{"seed":2}')


def ask(client: Client, body: bytes, request_id: str) -> Reply | Failure:
    """A request of this id, and its answer."""
    exchange = begin(client, body, request_id)
    assert isinstance(exchange, Exchange)
    return finish(client, exchange)


@pytest.mark.parametrize("header", ["x-acs-request-id: request-1", "X-Request-Id: REQUEST-1"])
def test_a_second_answer_that_comes_late_is_given_to_nobody(
    serve: Callable[..., Server], header: str
) -> None:
    """Behind the next request it is read as its answer; known by the id that it names."""
    requests = iter(range(9))

    def late(connection: socket.socket, _over: threading.Event) -> None:
        if next(requests) < 2:  # the second time in the place of the answer
            connection.sendall(http(SYS_ERROR, "200 OK", header))
        else:
            connection.sendall(http(ACCEPTED.replace(b"task-1", b"task-3")))

    server = serve(late)
    client = vendor(server.url)
    first, second, third = (
        ask(client, each, f"request-{n}") for n, each in enumerate((BODY, OTHER_BODY, BODY), 1)
    )
    assert isinstance(first, Reply)
    assert isinstance(second, Failure)
    assert classify(second) == Outcome(
        OutcomeKind.UNKNOWN, error_code="AIGC_FOREIGN_ANSWER", error_msg=second.detail
    )
    assert isinstance(third, Reply)
    assert classify(third).task_id == "task-3"
    assert server.connections == 2


def test_answers_that_may_be_alike_are_nobody_elses(serve: Callable[..., Server]) -> None:
    """Two jobs may fail in the same words, and a stand-in for the vendor gives all jobs one task."""
    server = serve(http(SYS_ERROR))
    client = vendor(server.url)
    assert [post(client, each) for each in (BODY, OTHER_BODY, BODY)] == [Reply(200, SYS_ERROR)] * 3
    server = serve(http(ACCEPTED))
    client = vendor(server.url)
    assert [post(client, each) for each in (BODY, OTHER_BODY, BODY)] == [Reply(200, ACCEPTED)] * 3
    assert server.connections == 1


def test_without_keep_alive_each_request_has_its_own_connection(serve: Callable[..., Server]) -> None:
    """The server is told so; a connection that was opened and not used is still good for one."""
    server = serve(http(ACCEPTED))
    client = Client(server.url, KEYS, keep_alive=False)
    opened = client.connect()
    assert isinstance(opened, Connection)
    client.keep(opened)
    assert [post(client, each) for each in (BODY, OTHER_BODY)] == [Reply(200, ACCEPTED)] * 2
    assert (server.connections, client.idle()) == (2, None)
    assert all(b"\r\nConnection: close\r\n" in request for request in server.requests)


def test_a_connection_that_the_server_means_to_close_is_not_used_again(serve: Callable[..., Server]) -> None:
    """Whatever else it says of it: six requests have six answers."""

    def answer_and_leave(connection: socket.socket, _over: threading.Event) -> None:
        connection.sendall(http(ACCEPTED, "200 OK", "Connection: keep-alive", "Connection: close"))
        connection.recv(1)  # the client is the first to close, or the next request is lost
        connection.close()

    server = serve(answer_and_leave)
    client = vendor(server.url)
    assert [post(client) for _ in range(6)] == [Reply(200, ACCEPTED)] * 6
    assert server.connections == 6


def test_an_answer_to_half_a_request_counts(serve: Callable[..., Server]) -> None:
    """A server that answers and leaves before it has read all is heard."""
    refused = http(b"", "413 Too large")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = vendor(f"http://127.0.0.1:{listener.getsockname()[1]}")
        exchange = begin(client, b"x" * 50_000_000)
        assert isinstance(exchange, Exchange)
        assert exchange.events == select.POLLIN | select.POLLOUT
        connection, _ = listener.accept()
        with connection:
            connection.sendall(refused)
            assert finish(client, exchange) == Reply(413, b"")
        assert client.idle() is None


@pytest.mark.parametrize(
    ("script", "code"),
    [(hang, "AIGC_READ_TIMEOUT"), (reset, "AIGC_CONNECTION_LOST"), (leave, "AIGC_CONNECTION_LOST")],
)
def test_no_answer_is_unknown_after_exactly_one_request(
    serve: Callable[..., Server], script: Script, code: str
) -> None:
    """Silence, a reset and a closed connection each leave one request behind, never two."""
    server = serve(script)
    failure = post(server.url, read_s=0.5 if script is hang else 10)
    assert isinstance(failure, Failure)
    assert failure.sent
    assert classify(failure).error_code == code
    assert (len(server.requests), server.connections) == (1, 1)


def test_a_reset_on_a_kept_connection_is_not_repaired_by_a_second_submit(
    serve: Callable[..., Server],
) -> None:
    """A kept-alive connection that breaks under a request may have carried it: Unknown, one request."""
    answers = iter([http(ACCEPTED), b""])

    def once_then_reset(connection: socket.socket, over: threading.Event) -> None:
        answer = next(answers)
        connection.sendall(answer) if answer else reset(connection, over)

    server = serve(once_then_reset)
    client = vendor(server.url)
    assert isinstance(post(client), Reply)
    failure = post(client)
    assert isinstance(failure, Failure)
    assert failure.sent
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "data", [http(ACCEPTED), b"HTTP/1.1 100 Continue\r\n\r\n" * 500], ids=["headers", "endless-100"]
)
def test_a_dripping_answer_ends_at_the_deadline(serve: Callable[..., Server], data: bytes) -> None:
    """Bytes that keep coming do not extend the read timeout: it is for the whole answer."""
    server = serve(dripping(data))
    failure = post(server.url, read_s=0.5)
    # A timeout that starts anew with each byte would have read all of it.
    assert classify(failure).error_code == "AIGC_READ_TIMEOUT"


def test_interim_answers_without_end_are_no_answer(serve: Callable[..., Server]) -> None:
    """A server that keeps saying that it goes on is not listened to for ever."""

    def go_on(connection: socket.socket, over: threading.Event) -> None:
        while not over.is_set():
            connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")

    failure = post(serve(go_on).url, read_s=1.0)
    assert classify(failure).kind is OutcomeKind.UNKNOWN


@pytest.mark.parametrize(
    ("status", "kind"), [("200 OK", OutcomeKind.UNKNOWN), ("429 Slow down", OutcomeKind.THROTTLED)]
)
def test_a_body_that_drips_past_the_deadline_leaves_its_status(
    serve: Callable[..., Server], status: str, kind: OutcomeKind
) -> None:
    """With the headers in hand the answer is truncated, not lost."""
    head, _, body = http(ACCEPTED, status).partition(b"\r\n\r\n")

    def drip_body(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head + b"\r\n\r\n")
        dripping(body)(connection, over)

    reply = post(serve(drip_body).url, read_s=0.5)
    assert isinstance(reply, Reply)
    assert reply.truncated
    assert classify(reply).kind is kind


@pytest.mark.parametrize(
    "framing", ["Content-Length: 64000000", "Transfer-Encoding: chunked", "Connection: close"]
)
def test_a_64_mb_answer_is_read_up_to_the_limit(serve: Callable[..., Server], framing: str) -> None:
    """The client takes 1 MB, hangs up, and the server cannot push the rest."""
    pushed = 0

    def flood(connection: socket.socket, over: threading.Event) -> None:
        nonlocal pushed
        connection.settimeout(BOUND_S)
        connection.sendall(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        chunk = b"x" * 64_000
        for _ in range(1000):
            connection.sendall(b"fa00\r\n" + chunk + b"\r\n" if "chunked" in framing else chunk)
            pushed += len(chunk)

    server = serve(flood)
    client = vendor(server.url)
    reply = post(client)
    assert isinstance(reply, Reply)
    assert reply.truncated
    assert len(reply.body) == ANSWER_MAX_BYTES
    assert classify(reply).kind is OutcomeKind.UNKNOWN
    # The socket buffers of both ends take some of it, far from all.
    assert pushed < 32_000_000


def test_a_gzip_bomb_is_unpacked_up_to_the_limit(serve: Callable[..., Server]) -> None:
    """Unpacked bytes are counted, not the few that travelled."""
    bomb = gzip.compress(b"x" * 64_000_000, compresslevel=1)
    reply = post(serve(http(bomb, "200 OK", "Content-Encoding: gzip")).url)
    assert isinstance(reply, Reply)
    assert reply.truncated
    assert len(reply.body) == ANSWER_MAX_BYTES


def test_a_compressed_answer_is_read_though_it_was_not_asked_for(serve: Callable[..., Server]) -> None:
    """A gateway that compresses anyway does not turn acceptances into unknowns."""
    server = serve(http(gzip.compress(ACCEPTED), "200 OK", "Content-Encoding: gzip"))
    reply = post(server.url)
    assert classify(reply).kind is OutcomeKind.ACCEPTED
    assert b"accept-encoding: identity" in server.requests[0].lower()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n" + ACCEPTED[:-1],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
    ],
    ids=["short", "bad-chunk", "bad-gzip"],
)
def test_an_answer_that_breaks_off_is_truncated(serve: Callable[..., Server], answer: bytes) -> None:
    """A 200 whose body cannot be read to its end is Unknown."""

    def answer_and_leave(connection: socket.socket, _over: threading.Event) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)

    reply = post(serve(answer_and_leave).url)
    assert isinstance(reply, Reply)
    assert reply.truncated
    assert classify(reply).error_code == "AIGC_TRUNCATED"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Again", "308 Moved"])
def test_a_redirect_is_not_followed(serve: Callable[..., Server], status: str) -> None:
    """The place a redirect points to sees no request: keys and jobs go to the endpoint only."""
    target = serve(http(ACCEPTED))
    server = serve(http(b"", status, f"Location: {target.url}{SUBMIT_URI}", "Retry-After: 0"))
    reply = post(server.url)
    assert classify(reply).kind is OutcomeKind.MISCONFIGURED
    assert (len(server.requests), target.connections) == (1, 0)


@pytest.mark.parametrize("status", ["429 Too Many", "500 Oops", "503 Busy"])
def test_a_status_that_invites_a_retry_is_not_retried_here(serve: Callable[..., Server], status: str) -> None:
    """Retries are decided above, with the journal: the client sends once."""
    server = serve(http(b"", status, "Retry-After: 0"))
    reply = post(server.url)
    assert isinstance(reply, Reply)
    assert len(server.requests) == 1


def test_a_refused_port_was_not_sent() -> None:
    """Nobody listens: nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    failure = post(f"http://127.0.0.1:{port}")
    assert isinstance(failure, Failure)
    assert not failure.sent
    assert "refused" in failure.detail


def test_an_unresolvable_name_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without an address: nothing was sent."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    failure = post("https://vendor.invalid")
    assert isinstance(failure, Failure)
    assert not failure.sent
    assert "NameResolutionError" in failure.detail


@pytest.mark.parametrize("script", [http(b""), leave, reset, hang], ids=["http", "close", "reset", "hang"])
def test_a_failed_tls_handshake_was_not_sent(serve: Callable[..., Server], script: Script | bytes) -> None:
    """A server that speaks no TLS gets a greeting and no request, however it behaves."""
    server = serve(script)
    client = vendor(server.url.replace("http:", "https:"), connect_s=0.5)
    failure = post(client)
    assert isinstance(failure, Failure)
    assert not failure.sent
    assert not any(b"POST" in request for request in server.requests)


def test_a_session_asks_once(serve: Callable[..., Server]) -> None:
    """It follows no redirect, whatever the method, and tries nothing again."""
    target = serve(http(ACCEPTED))
    server = serve(http(b"", "302 Found", f"Location: {target.url}/"))
    with Connector(server.url).session() as session:
        assert session.post(f"{server.url}/", data=b"x", timeout=BOUND_S).status_code == 302
    assert (len(server.requests), target.connections) == (1, 0)
