"""No exception that requests, urllib3 or what lies under them can raise is left unmapped.

Each class is raised at each place an attempt passes through. Where it is raised decides, not its name:
while connecting, nothing was sent; from the request's first byte on, it may have been.
"""

from __future__ import annotations

import builtins
import errno
import http.client
import json
import socket
import ssl
import zlib
from collections.abc import Callable
from typing import Any, cast

import pytest
import requests
import urllib3.connection
import urllib3.exceptions
from urllib3.response import HTTPResponse

from worker.domain.outcome import Failure, OutcomeKind, Reply, classify
from worker.domain.signing import Credentials
from worker.vendor import Client, Connection
from worker.vendor.connector import Connector

BODY = b'{"workflow":"TEXT2IMAGE"}'
RESPONSE = HTTPResponse(status=200)
POOL: Any = None
SPECIAL: dict[type[Exception], Callable[[], Exception]] = {
    requests.exceptions.JSONDecodeError: lambda: requests.exceptions.JSONDecodeError("boom", "x", 0),
    urllib3.exceptions.PoolError: lambda: urllib3.exceptions.PoolError(POOL, "boom"),
    urllib3.exceptions.RequestError: lambda: urllib3.exceptions.RequestError(POOL, "/", "boom"),
    urllib3.exceptions.ProxyError: lambda: urllib3.exceptions.ProxyError("boom", OSError("proxy")),
    urllib3.exceptions.MaxRetryError: lambda: urllib3.exceptions.MaxRetryError(POOL, "/", OSError()),
    urllib3.exceptions.HostChangedError: lambda: urllib3.exceptions.HostChangedError(POOL, "/"),
    urllib3.exceptions.ReadTimeoutError: lambda: urllib3.exceptions.ReadTimeoutError(POOL, "/", "boom"),
    urllib3.exceptions.NewConnectionError: lambda: urllib3.exceptions.NewConnectionError(POOL, "boom"),
    urllib3.exceptions.NameResolutionError: lambda: urllib3.exceptions.NameResolutionError(
        "host", POOL, socket.gaierror(-2, "boom")
    ),
    urllib3.exceptions.EmptyPoolError: lambda: urllib3.exceptions.EmptyPoolError(POOL, "boom"),
    urllib3.exceptions.FullPoolError: lambda: urllib3.exceptions.FullPoolError(POOL, "boom"),
    urllib3.exceptions.ClosedPoolError: lambda: urllib3.exceptions.ClosedPoolError(POOL, "boom"),
    urllib3.exceptions.IncompleteRead: lambda: urllib3.exceptions.IncompleteRead(1, 2),
    urllib3.exceptions.InvalidChunkLength: lambda: urllib3.exceptions.InvalidChunkLength(RESPONSE, b"x"),
    urllib3.exceptions.HeaderParsingError: lambda: urllib3.exceptions.HeaderParsingError([], b"x"),
    http.client.IncompleteRead: lambda: http.client.IncompleteRead(b"x", 2),
    json.JSONDecodeError: lambda: json.JSONDecodeError("boom", "x", 0),
    UnicodeDecodeError: lambda: UnicodeDecodeError("utf-8", b"x", 0, 1, "boom"),
    UnicodeEncodeError: lambda: UnicodeEncodeError("idna", "x", 0, 1, "boom"),
    UnicodeTranslateError: lambda: UnicodeTranslateError("x", 0, 1, "boom"),
}


def exceptions_of(*modules: Any) -> set[type[Exception]]:
    found = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return {cls for cls in found if issubclass(cls, Exception) and not issubclass(cls, Warning)}


LIBRARIES = exceptions_of(requests.exceptions, urllib3.exceptions, http.client, ssl, socket, zlib)
# Python's own groups need members to be built; nothing here raises groups.
BUILTINS = {cls for cls in exceptions_of(builtins) if not issubclass(cls, BaseExceptionGroup)}
EVERY = sorted(LIBRARIES | BUILTINS, key=lambda cls: f"{cls.__module__}.{cls.__name__}")
every_exception = pytest.mark.parametrize("cls", EVERY, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")


def make(cls: type[Exception]) -> Exception:
    return SPECIAL.get(cls, lambda: cls("boom"))()


def raiser(error: Exception) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    return fail


def client() -> Client:
    return Client("http://127.0.0.1:9", Credentials("access", "secret"))


def test_the_list_of_exceptions_is_not_empty() -> None:
    """The enumeration finds the classes that matter most, so the tests below do run over them."""
    assert {
        requests.exceptions.ConnectionError,
        urllib3.exceptions.MaxRetryError,
        http.client.RemoteDisconnected,
        ssl.SSLCertVerificationError,
        socket.gaierror,
        ConnectionResetError,
    } <= set(EVERY)


@every_exception
def test_whatever_is_raised_while_connecting_was_not_sent(
    cls: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name resolution, TCP, proxy and TLS come before the request's first byte."""
    monkeypatch.setattr(urllib3.connection.HTTPConnection, "connect", raiser(make(cls)))
    failure = client().connect()
    assert isinstance(failure, Failure)
    assert not failure.sent
    assert failure.detail.startswith(cls.__name__)
    assert classify(failure).kind is OutcomeKind.NOT_SENT


class Socket:
    """Stands for a connected socket: takes the request, then gives these pieces, or raises them."""

    def __init__(self, *pieces: bytes | BaseException, refuses: Exception | None = None) -> None:
        self._pieces = iter(pieces)
        self._refuses = refuses
        self.closed = False

    def settimeout(self, _seconds: float) -> None:
        pass

    def fileno(self) -> int:
        return 0

    def send(self, data: bytes) -> int:
        if self._refuses:
            raise self._refuses
        return len(data)

    def recv(self, _size: int) -> bytes:
        piece = next(self._pieces, b"")
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def close(self) -> None:
        self.closed = True


def answer_on(sock: Socket) -> Reply | Failure | None:
    """Send a request and look for its answer once."""
    connection = Connection(cast(socket.socket, sock))
    return client().send(connection, BODY, "893e87bb").advance()


NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@every_exception
@pytest.mark.parametrize("broken", ["send", "receive"])
def test_whatever_is_raised_after_connecting_may_have_been_sent(cls: type[Exception], broken: str) -> None:
    """Sending or receiving: whatever breaks there leaves the attempt unknown; "not yet" is waited for."""
    sock = Socket(NOT_YET[0](), refuses=make(cls)) if broken == "send" else Socket(make(cls))
    failure = answer_on(sock)
    if issubclass(cls, NOT_YET) or (
        broken == "send" and issubclass(cls, BrokenPipeError | ConnectionResetError)
    ):
        assert failure is None  # after a broken pipe an answer may be there still
        return
    assert isinstance(failure, Failure)
    assert failure.sent
    assert failure.detail.startswith(cls.__name__)
    assert failure.timed_out == issubclass(cls, TimeoutError)
    assert classify(failure).kind is OutcomeKind.UNKNOWN
    assert sock.closed


@every_exception
def test_whatever_is_raised_while_reading_leaves_the_status(cls: type[Exception]) -> None:
    """An answer that breaks off keeps its status: a 429 stays a 429."""
    sock = Socket(b"HTTP/1.1 429 Slow down\r\nContent-Length: 9\r\n\r\n", make(cls))
    reply = answer_on(sock)
    if issubclass(cls, NOT_YET):
        assert reply is None
        return
    assert reply == Reply(429, b"", truncated=True)
    assert classify(reply).kind is OutcomeKind.THROTTLED
    assert sock.closed


@pytest.mark.parametrize("cls", [BrokenPipeError, ConnectionResetError])
def test_an_answer_to_half_a_request_counts(cls: type[Exception]) -> None:
    """A server that answers and leaves before it has read all was heard; its connection is done."""
    sock = Socket(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n", refuses=cls())
    assert answer_on(sock) == Reply(413, b"")
    assert sock.closed


@pytest.mark.parametrize("broken", ["send", "receive"])
def test_an_interrupted_exchange_leaves_no_connection(broken: str) -> None:
    """What is no Exception passes, and the answer that is still to come finds nobody to be given to."""
    interrupt = KeyboardInterrupt()
    sock = Socket(interrupt, refuses=cast(Any, interrupt) if broken == "send" else None)
    with pytest.raises(KeyboardInterrupt):
        answer_on(sock)
    assert sock.closed


def test_no_descriptor_left_is_a_fault_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing of the vendor, and nothing was sent."""
    no_more = raiser(OSError(errno.EMFILE, "Too many open files"))
    monkeypatch.setattr(urllib3.connection.HTTPConnection, "connect", no_more)
    failure = client().connect()
    assert isinstance(failure, Failure)
    assert (failure.sent, failure.local) == (False, True)


@pytest.mark.parametrize("request_id", ["a\r\nX-Access-Key: b", "a\nb", "é"])
def test_a_request_id_cannot_add_headers(request_id: str) -> None:
    """It is a programming error, found before anything is sent."""
    with pytest.raises(ValueError, match="printable ASCII"):
        client().send(Connection(cast(socket.socket, Socket())), BODY, request_id)


@pytest.mark.parametrize(
    ("endpoint", "authority"),
    [
        ("https://Example.COM", "example.com"),
        ("https://example.com:443/", "example.com"),
        ("https://example.com:8443", "example.com:8443"),
        ("http://localhost:80", "localhost"),
        ("http://127.0.0.1:443", "127.0.0.1:443"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("https://bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_the_host_header_names_the_endpoint(endpoint: str, authority: str) -> None:
    """As HTTP spells it: lower case, IDNA, IPv6 in brackets, no default port."""
    assert Connector(endpoint).authority == authority


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://example.com",
        "http://10.0.0.1:8080",
        "http://localhost.example.com",
        "ftp://127.0.0.1",
        "https://",
        "https://user@example.com",
        "example.com",
        "",
    ],
)
def test_an_endpoint_that_cannot_be_right_is_refused(endpoint: str) -> None:
    """Plain http leaves this machine for nowhere, and an endpoint is scheme, host and port."""
    with pytest.raises(ValueError, match="endpoint must be"):
        Client(endpoint, Credentials("access", "secret"))


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]", "http://localhost/"]
)
def test_plain_http_to_loopback_is_allowed(endpoint: str) -> None:
    """A local sandbox needs no certificate."""
    Client(endpoint, Credentials("access", "secret"))


@pytest.mark.parametrize(
    "proxy", ["http://user:hunter2@", "nonsense://user:hunter2@host", "http://user:hunter2@h:x"]
)
def test_an_unusable_proxy_is_refused_without_its_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken HTTPS_PROXY stops the program at start, and its password stays out of the message."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ValueError, match="proxy is unusable") as raised:
        Client("https://vendor.invalid", Credentials("access", "secret"))
    assert "hunter2" not in str(raised.value)


def test_a_missing_ca_bundle_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A REQUESTS_CA_BUNDLE that is not there stops the program at start, naming the file."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(ValueError, match="nowhere"):
        Client("https://vendor.invalid", Credentials("access", "secret"))
