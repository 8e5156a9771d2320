"""The vendor client against real sockets: every way an attempt can go, and how long it may take."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from worker.domain.outcome import Failure, OutcomeKind, Reply, classify
from worker.domain.signing import SUBMIT_URI, Credentials, verify
from worker.vendor import ANSWER_MAX_BYTES, Connection, Vendor
from worker.vendor import connection as vendor_connection
from worker.vendor import dialer as vendor_dialer

KEYS = Credentials("access", "secret")
BODY = b'{"workflow":"TEXT2IMAGE","version":"1.0.0","algoInput":{}}'
ACCEPTED = json.dumps({"success": True, "model": "task-1", "errorCode": None, "errorMsg": None}).encode()
BOUND_S = 20.0
CERTIFICATE = Path(__file__).parents[1] / "data" / "tls" / "server.pem"

Script = Callable[[socket.socket, threading.Event], None]


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Server:
    """Accepts connections, reads each request whole, then does as the script says."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._script = script
        self._tls = tls
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._sockets: list[socket.socket] = []
        self.requests: list[bytes] = []
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads[0].start()

    @property
    def connections(self) -> int:
        return len(self._sockets)

    def close(self) -> None:
        self._over.set()
        # A blocked accept returns on shutdown; closing alone does not wake it.
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(BOUND_S)
            assert not thread.is_alive()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(0.05)
            self._sockets.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        if self._tls:
            try:
                connection.settimeout(BOUND_S)
                connection = self._tls.wrap_socket(connection, server_side=True)
                connection.settimeout(0.05)
            except OSError:
                connection.close()
                return
        with connection:
            while (request := self._read(connection)) is not None:
                self.requests.append(request)
                try:
                    self._script(connection, self._over)
                except OSError:
                    return

    def _read(self, connection: socket.socket) -> bytes | None:
        """One request with its body; None when the client is gone, or the test over."""
        data = b""
        while not self._over.is_set():
            try:
                chunk = connection.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                return None
            if not chunk:
                return None
            data += chunk
            if data.startswith(b"\x16"):
                return data  # a TLS greeting
            head, end, body = data.partition(b"\r\n\r\n")
            if end and len(body) >= int(head.lower().split(b"content-length:")[1].split()[0]):
                return data
        return None


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts a server with a script, or with one answer for every request; `tls=True` over TLS."""
    servers: list[Server] = []

    def start(script: Script | bytes, *, tls: bool = False) -> Server:
        answer = script
        act = (lambda c, _: c.sendall(answer)) if isinstance(answer, bytes) else answer
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if context:
            context.load_cert_chain(CERTIFICATE)
        servers.append(Server(act, context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


class Together(Vendor):
    """A vendor whose posts go the way of those that are out together: no thread waits for one."""

    def post(self, body: bytes, request_id: str) -> Reply | Failure:
        connections = self.warm(1)
        if not connections:
            try:
                connections = [Connection(self._dialer.connect(self._connect_timeout_s))]
            except Exception as error:
                return Failure(sent=False, detail=f"{type(error).__name__}: {error}")
        if not connections[0].tells_what_came:
            self.put_back(connections[0])
            return super().post(body, request_id)
        exchange = self.start(connections[0], body, request_id)
        while not (answered := self.wait([exchange], 0.05)):
            assert exchange.answer is None
        return answered[0][1]


@pytest.fixture(params=[Vendor, Together], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything here holds for both ways of a request."""
    monkeypatch.setattr(sys.modules[__name__], "Client", request.param)


Client = Vendor


def vendor(url: str, *, connect_s: float = 2.0, read_s: float = 10.0) -> Vendor:
    return Client(url, KEYS, connect_timeout_s=connect_s, read_timeout_s=read_s)


def post(url: str, *, read_s: float = 10.0) -> Reply | Failure:
    return vendor(url, read_s=read_s).post(BODY, "request-1")


def hang(_connection: socket.socket, over: threading.Event) -> None:
    over.wait(BOUND_S)


def reset(connection: socket.socket, _over: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def leave(connection: socket.socket, _over: threading.Event) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def dripping(data: bytes) -> Script:
    def drip(connection: socket.socket, over: threading.Event) -> None:
        for position in range(len(data)):
            connection.sendall(data[position : position + 1])
            if over.wait(0.05):
                return

    return drip


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


def test_one_thread_keeps_one_connection(serve: Callable[..., Server]) -> None:
    """Ten posts of a thread travel over one connection."""
    server = serve(http(ACCEPTED))
    client = vendor(server.url)
    for _ in range(10):
        assert isinstance(client.post(BODY, "id"), Reply)
    assert (len(server.requests), server.connections) == (10, 1)


def test_threads_do_not_share_connections(serve: Callable[..., Server]) -> None:
    """Four threads that post at the same time hold four connections, and keep them."""
    together = threading.Barrier(4)
    server = serve(http(ACCEPTED))
    client = vendor(server.url)

    def work() -> None:
        for _ in range(5):
            together.wait(BOUND_S)
            assert isinstance(client.post(BODY, "id"), Reply)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(work) for _ in range(4)]:
            future.result()
    assert (len(server.requests), server.connections) == (20, 4)


def test_a_connection_idle_for_long_is_not_trusted(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server may be about to close is dropped before the next request, not after."""
    server = serve(http(ACCEPTED))
    client = vendor(server.url)
    client.post(BODY, "id")
    monkeypatch.setattr(vendor_connection, "IDLE_MAX_S", 0.0)
    client.post(BODY, "id")
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
        assert isinstance(client.post(BODY, "id"), Reply)
        assert left.acquire(timeout=BOUND_S)
    assert (len(server.requests), server.connections) == (3, 3)


def test_a_chunked_answer_keeps_its_connection(serve: Callable[..., Server]) -> None:
    """Many gateways answer in chunks: that costs no new TLS handshake a job."""
    half = len(ACCEPTED) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (ACCEPTED[:half], ACCEPTED[half:]))
    server = serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    client = vendor(server.url)
    for _ in range(3):
        assert client.post(BODY, "id") == Reply(200, ACCEPTED)
    assert (len(server.requests), server.connections) == (3, 1)


def test_an_answer_that_nobody_asked_for_is_given_to_nobody(serve: Callable[..., Server]) -> None:
    """A server that answers twice does not make the next job's answer of its second."""
    answers = iter(range(9))

    def answer_twice(connection: socket.socket, _over: threading.Event) -> None:
        number = b"%d" % next(answers)
        connection.sendall(http(number) + http(b"surplus"))

    server = serve(answer_twice)
    client = vendor(server.url)
    assert [client.post(BODY, "id") for _ in range(3)] == [Reply(200, b"%d" % n) for n in range(3)]
    assert server.connections == 3


@pytest.mark.parametrize(
    ("script", "code"),
    [(hang, "AIGC_READ_TIMEOUT"), (reset, "AIGC_CONNECTION_LOST"), (leave, "AIGC_CONNECTION_LOST")],
)
def test_no_answer_is_unknown_after_exactly_one_request(
    serve: Callable[..., Server], script: Script, code: str
) -> None:
    """Silence, a reset and a closed connection each leave one request behind, never two."""
    server = serve(script)
    failure = post(server.url, read_s=0.5)
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
    assert isinstance(client.post(BODY, "first"), Reply)
    failure = client.post(BODY, "second")
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
    reply = client.post(BODY, "id")
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
    failure = client.post(BODY, "id")
    assert isinstance(failure, Failure)
    assert not failure.sent
    assert not any(b"POST" in request for request in server.requests)


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names the test server's certificate as the CA bundle."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))


@pytest.mark.usefixtures("trusted")
def test_tls_with_the_environments_ca_bundle(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle is read once, at construction; a thread keeps its TLS connection."""
    server = serve(http(ACCEPTED), tls=True)
    client = vendor(server.url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    assert [classify(client.post(BODY, "id")).kind for _ in range(3)] == [OutcomeKind.ACCEPTED] * 3
    assert (len(server.requests), server.connections) == (3, 1)


def test_an_untrusted_certificate_was_not_sent_to(serve: Callable[..., Server]) -> None:
    """Without that bundle the same server is refused before it sees a request."""
    server = serve(http(ACCEPTED), tls=True)
    failure = post(server.url)
    assert isinstance(failure, Failure)
    assert not failure.sent
    assert "CERTIFICATE_VERIFY_FAILED" in failure.detail
    assert server.requests == []


@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_name_was_not_sent_to(serve: Callable[..., Server]) -> None:
    """A trusted certificate of another host is refused as well."""
    server = serve(http(ACCEPTED), tls=True)
    failure = post(server.url.replace("127.0.0.1", "localhost"))
    assert isinstance(failure, Failure)
    assert not failure.sent
    assert server.requests == []


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("script", "code"),
    [
        (hang, "AIGC_READ_TIMEOUT"),
        (dripping(http(ACCEPTED)), "AIGC_READ_TIMEOUT"),
        (reset, "AIGC_CONNECTION_LOST"),
        (leave, "AIGC_CONNECTION_LOST"),
    ],
    ids=["hang", "drip", "reset", "leave"],
)
def test_no_answer_over_tls_is_unknown(serve: Callable[..., Server], script: Script, code: str) -> None:
    """A TLS connection that fails under a request is not mistaken for a handshake that failed."""
    server = serve(script, tls=True)
    failure = post(server.url, read_s=0.5)
    assert classify(failure).error_code == code
    assert len(server.requests) == 1


def test_a_proxy_that_refuses_the_tunnel_was_not_sent(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CONNECT that fails happens before the vendor could see a byte; the environment is read once."""
    tunnels: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        connection, _ = listener.accept()
        with connection:
            tunnels.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")

    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter2@127.0.0.1:{listener.getsockname()[1]}")
    client = vendor("https://vendor.invalid")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    thread = threading.Thread(target=refuse)
    thread.start()
    failure = client.post(BODY, "id")
    thread.join(BOUND_S)
    listener.close()
    assert isinstance(failure, Failure)
    assert not failure.sent
    assert "407" in failure.detail
    assert "hunter2" not in failure.detail
    assert tunnels[0].startswith(b"CONNECT vendor.invalid:443")
    assert b"POST" not in tunnels[0]


def tunnel(listener: socket.socket, target: int, greetings: list[bytes], times: int) -> None:
    """A proxy that lets so many clients through to a local port, one after the other."""
    for _ in range(times):
        client, _address = listener.accept()
        with client, socket.create_connection(("127.0.0.1", target)) as server:
            greetings.append(client.recv(65536))
            client.sendall(b"HTTP/1.1 200 Go ahead\r\n\r\n")
            back = threading.Thread(target=pump, args=(server, client))
            back.start()
            pump(client, server)
            back.join(BOUND_S)


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@pytest.mark.usefixtures("trusted")
def test_every_connection_goes_through_the_proxy(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second as well; the proxy's password is for the proxy, and TLS is with the vendor."""
    monkeypatch.setattr(vendor_dialer, "_is_loopback", lambda host: False)
    monkeypatch.setattr(vendor_connection, "IDLE_MAX_S", 0.0)
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = serve(http(ACCEPTED), tls=True)
    port = int(server.url.rpartition(":")[2])
    greetings: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter2@127.0.0.1:{listener.getsockname()[1]}")
        proxy = threading.Thread(target=tunnel, args=(listener, port, greetings, 2))
        proxy.start()
        client = vendor(server.url)
        assert [client.post(BODY, "id") for _ in range(2)] == [Reply(200, ACCEPTED)] * 2
        del client  # closes its connection, and so the tunnel
        proxy.join(BOUND_S)
    assert not proxy.is_alive()
    assert len(greetings) == len(server.requests) == 2
    for greeting, request in zip(greetings, server.requests, strict=True):
        assert greeting.startswith(b"CONNECT 127.0.0.1:%d " % port)
        assert b"Proxy-Authorization: Basic dXNlcjpodW50ZXIy" in greeting
        assert b"roxy-" not in request


def test_loopback_is_never_proxied(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    """With HTTP_PROXY set, a local sandbox is still reached directly."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert isinstance(post(serve(http(ACCEPTED)).url), Reply)
