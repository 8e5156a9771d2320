"""No exception that requests, urllib3 or what lies under them can raise is left unmapped.

Each class is raised at each place an attempt passes through. Where it is raised decides, not its name:
while connecting, nothing was sent; from the request's first byte on, it may have been.
"""

from __future__ import annotations

import builtins
import http.client
import io
import json
import socket
import ssl
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import requests
import urllib3.connection
import urllib3.exceptions
from urllib3.response import HTTPResponse

from worker.core.outcome import Failure, Kind, Reply, classify
from worker.core.signing import Keys
from worker.vendor import Vendor

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


def post() -> Reply | Failure:
    return Vendor("http://127.0.0.1:9", Keys("access", "secret")).post(BODY, "893e87bb")


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
    failure = post()
    assert isinstance(failure, Failure)
    assert not failure.sent
    assert failure.detail.startswith(cls.__name__)
    assert classify(failure).kind is Kind.NOT_SENT


@every_exception
@pytest.mark.parametrize("broken", ["request", "getresponse"])
def test_whatever_is_raised_after_connecting_may_have_been_sent(
    cls: type[Exception], broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sending or waiting for the answer: whatever breaks there leaves the attempt unknown."""
    monkeypatch.setattr(urllib3.connection.HTTPConnection, "connect", lambda connection: None)
    monkeypatch.setattr(urllib3.connection.HTTPConnection, "send", lambda connection, data: None)
    monkeypatch.setattr(urllib3.connection.HTTPConnection, broken, raiser(make(cls)))
    failure = post()
    assert isinstance(failure, Failure)
    assert failure.sent
    assert classify(failure).kind is Kind.UNKNOWN


class _Breaking(io.RawIOBase):
    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, size: int = -1) -> bytes:
        raise self._error


@every_exception
def test_whatever_is_raised_while_reading_leaves_the_status(
    cls: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that breaks off keeps its status: a 429 stays a 429."""
    response = HTTPResponse(body=_Breaking(make(cls)), status=429, preload_content=False)
    monkeypatch.setattr(urllib3.connection.HTTPConnection, "request", lambda *args, **kwargs: None)
    monkeypatch.setattr(urllib3.connection.HTTPConnection, "send", lambda connection, data: None)
    monkeypatch.setattr(urllib3.connection.HTTPConnection, "getresponse", lambda connection: response)
    reply = post()
    assert reply == Reply(429, b"", truncated=True)
    assert classify(reply).kind is Kind.THROTTLED


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
        Vendor(endpoint, Keys("access", "secret"))


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]", "http://localhost/"]
)
def test_plain_http_to_loopback_is_allowed(endpoint: str) -> None:
    """A local sandbox needs no certificate."""
    Vendor(endpoint, Keys("access", "secret"))


@pytest.mark.parametrize(
    "proxy", ["http://user:hunter2@", "nonsense://user:hunter2@host", "http://user:hunter2@h:x"]
)
def test_an_unusable_proxy_is_refused_without_its_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken HTTPS_PROXY stops the program at start, and its password stays out of the message."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ValueError, match="proxy is unusable") as raised:
        Vendor("https://vendor.invalid", Keys("access", "secret"))
    assert "hunter2" not in str(raised.value)


def test_a_missing_ca_bundle_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A REQUESTS_CA_BUNDLE that is not there stops the program at start, naming the file."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(ValueError, match="nowhere"):
        Vendor("https://vendor.invalid", Keys("access", "secret"))
