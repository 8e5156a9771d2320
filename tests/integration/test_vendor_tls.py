"""The vendor client over TLS and by way of a proxy: whom it trusts, and what they see."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.integration.vendor_server import (
    ACCEPTED,
    BOUND_S,
    CERTIFICATE,
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
from worker.domain.outcome import Failure, OutcomeKind, Reply, classify
from worker.vendor import Connection, Exchange
from worker.vendor import connection as vendor_connection
from worker.vendor import connector as vendor_connector


def readable(connection: Connection, within_ms: float = BOUND_S * 1000) -> bool:
    """Whether something comes, be it for TLS alone."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(within_ms))


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts a server with a script, or with one answer for every request; `tls=True` over TLS."""
    yield from serving()


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
    assert [classify(post(client)).kind for _ in range(3)] == [OutcomeKind.ACCEPTED] * 3
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
    failure = post(server.url, read_s=10 if script in (reset, leave) else 1)
    assert classify(failure).error_code == code
    assert len(server.requests) == 1


@pytest.mark.usefixtures("trusted")
def test_session_tickets_do_not_spoil_a_connection(serve: Callable[..., Server]) -> None:
    """What comes unasked after a TLS handshake is no answer, and no end."""
    server = serve(http(ACCEPTED), tls=True)
    client = vendor(server.url)
    connection = client.connect()
    assert isinstance(connection, Connection)
    assert readable(connection)
    client.keep(connection)
    assert client.idle() is connection
    connection.close()


@pytest.mark.usefixtures("trusted")
def test_a_large_request_over_tls_arrives_whole(serve: Callable[..., Server]) -> None:
    """In as many turns as it takes, and the connection is used again."""
    server = serve(http(ACCEPTED), tls=True)
    client = vendor(server.url)
    body = b"0123456789abcdef" * 1_000_000
    for _ in range(2):
        server.reads.clear()
        exchange = begin(client, body)
        assert isinstance(exchange, Exchange)
        assert exchange.events & select.POLLOUT
        server.reads.set()
        assert finish(client, exchange) == Reply(200, ACCEPTED)
    assert [request.partition(b"\r\n\r\n")[2] == body for request in server.requests] == [True, True]
    assert server.connections == 1


@pytest.mark.usefixtures("trusted")
def test_a_session_trusts_whom_the_client_trusts(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle that the environment named at the start, and no other."""
    server = serve(http(b"x"), tls=True)
    request = f"{server.url}/"
    connector = vendor_connector.Connector(server.url)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    stranger = vendor_connector.Connector(server.url)
    with connector.session() as session:
        assert session.post(request, data=b"x", timeout=BOUND_S).content == b"x"
    with stranger.session() as session, pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        session.post(request, data=b"x", timeout=BOUND_S, verify=str(CERTIFICATE))


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
    failure = post(client)
    thread.join(BOUND_S)
    listener.close()
    assert isinstance(failure, Failure)
    assert not failure.sent
    assert "407" in failure.detail
    assert "hunter2" not in failure.detail
    assert tunnels[0].startswith(b"CONNECT vendor.invalid:443")
    assert b"POST" not in tunnels[0]


def tunnel(
    listener: socket.socket,
    target: int,
    greetings: list[bytes],
    times: int,
    tls: ssl.SSLContext | None = None,
) -> None:
    """A proxy that lets so many clients through to a local port, one after the other."""
    for _ in range(times):
        client, _address = listener.accept()
        client = tls.wrap_socket(client, server_side=True) if tls else client
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
    monkeypatch.setattr(vendor_connector, "is_loopback", lambda host: False)
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
        assert [post(client) for _ in range(2)] == [Reply(200, ACCEPTED)] * 2
        del client  # closes its connection, and so the tunnel
        proxy.join(BOUND_S)
    assert not proxy.is_alive()
    assert len(greetings) == len(server.requests) == 2
    for greeting, request in zip(greetings, server.requests, strict=True):
        assert greeting.startswith(b"CONNECT 127.0.0.1:%d " % port)
        assert b"Proxy-Authorization: Basic dXNlcjpodW50ZXIy" in greeting
        assert b"roxy-" not in request


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("surplus", [b"", http(b"surplus")], ids=["clean", "surplus"])
def test_tls_within_a_proxys_tls(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, surplus: bytes
) -> None:
    """A connection is kept over several answers, large ones too, but not with a second answer on it."""
    monkeypatch.setattr(vendor_connector, "is_loopback", lambda host: False)
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    bodies = [b"1", b"2" * 500_000, b"3"]
    left = iter(bodies)
    done = threading.Semaphore(0)

    def answer(connection: socket.socket, _over: threading.Event) -> None:
        connection.settimeout(BOUND_S)
        connection.sendall(http(next(left)))
        connection.sendall(surplus)
        connection.settimeout(0.05)
        done.release()

    server = serve(answer, tls=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    times = 3 if surplus else 1
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{listener.getsockname()[1]}")
        port = int(server.url.rpartition(":")[2])
        proxy = threading.Thread(target=tunnel, args=(listener, port, [], times, context))
        proxy.start()
        client = vendor(server.url)
        for body in bodies:
            exchange = begin(client)
            assert isinstance(exchange, Exchange)
            assert finish(client, exchange) == Reply(200, body)
            assert done.acquire(timeout=BOUND_S)
            while surplus and exchange.connection.usable:
                readable(exchange.connection, 10)  # it may be within already, where no descriptor tells
        client.close()
        proxy.join(BOUND_S)
    assert not proxy.is_alive()
    assert (len(server.requests), server.connections) == (3, times)


def test_loopback_is_never_proxied(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    """With HTTP_PROXY set, a local sandbox is still reached directly."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert isinstance(post(serve(http(ACCEPTED)).url), Reply)
