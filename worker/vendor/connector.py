"""How to reach the endpoint: trust and proxy, read from the environment once."""

from __future__ import annotations

import os
import socket
import ssl
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from tasks.checks import is_loopback
from worker.vendor.bounded import POOLS


class Connector:
    """Opens connections to one endpoint.

    Args:
        endpoint: scheme, host and port; ``http://`` to a loopback address only.

    Raises:
        ValueError: the endpoint, or the environment's proxy or CA bundle, cannot be used.
    """

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("the endpoint must be a scheme, a host and a port, such as https://example.com")
        loopback = is_loopback(parts.hostname)
        if parts.scheme == "http" and not loopback:
            raise ValueError("the endpoint must be https:// unless its host is a loopback address")
        url = f"{parts.scheme}://{parts.netloc}/"
        self._request = requests.Request("POST", url).prepare()
        # Once, here: a variable that changes must not send an attempt another way than the last. True is
        # requests' own default, which REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE may replace.
        with requests.Session() as session:
            environment = session.merge_environment_settings(url, {}, None, True, None)
        # A proxy cannot reach our loopback, and would see the request in clear.
        self._proxies = {} if loopback else dict(environment["proxies"])
        ca = DEFAULT_CA_BUNDLE_PATH if environment["verify"] is True else environment["verify"]
        self._trust = _trust(cast(str, ca)) if parts.scheme == "https" else None
        self._pool = self._pool_of_endpoint()
        host = f"[{self._pool.host}]" if ":" in self._pool.host else self._pool.host
        default_port = {"http": 80, "https": 443}[parts.scheme]
        self.authority: Final = host if self._pool.port == default_port else f"{host}:{self._pool.port}"
        """Host and port as a Host header names them."""

    def connect(self, timeout_s: float) -> socket.socket:
        """A new connection, by way of the proxy if there is one, and with TLS if the endpoint asks for it.

        Raises whatever fails, of whatever class. No byte of a request has left this machine then.

        Args:
            timeout_s: seconds for each address of the host, for the handshake, for each message of a proxy.
        """
        pool = self._pool
        first = pool.proxy or pool
        assert first.host is not None
        connection = cast(type[HTTPConnection], pool.ConnectionCls)(
            first.host, first.port, timeout=timeout_s, **pool.conn_kw
        )
        try:
            # Always a tunnel: an endpoint without TLS is on loopback, and that is never proxied.
            if pool.proxy:
                connection.set_tunnel(pool.host, pool.port, pool.proxy_headers, pool.proxy.scheme or "http")
            connection.connect()
        except BaseException:
            connection.close()
            raise
        assert connection.sock is not None
        return connection.sock

    def session(self) -> requests.Session:
        """A new session with the same trust and proxies, for a query now and then; it does nothing twice.

        Its read timeout bounds a whole answer. It keeps no cookie.
        """
        session = _Session()
        session.trust_env = False  # else proxies are read anew, and a .netrc adds an Authorization
        session.proxies = dict(self._proxies)
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        for scheme in ("http://", "https://"):
            session.mount(scheme, _BoundedAdapter(self._trust))
        return session

    def _pool_of_endpoint(self) -> HTTPConnectionPool:
        """urllib3's settings for the endpoint; it opens nothing."""
        try:
            pool = _Adapter(self._trust).get_connection_with_tls_context(
                self._request, True, proxies=self._proxies
            )
        # Any class: some malformed proxy URLs end in a TypeError. By name: the message may hold a password.
        except Exception as error:
            raise ValueError(f"the environment's proxy is unusable: {type(error).__name__}") from None
        assert isinstance(pool, HTTPConnectionPool)
        return pool


class _Session(requests.Session):
    """A session that follows no redirect, whatever the method and its arguments."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


class _Adapter(HTTPAdapter):
    """requests' transport, with one TLS context for all threads: a CA bundle costs 16 ms and 0.65 MB."""

    def __init__(self, trust: ssl.SSLContext | None) -> None:
        self._trust = trust
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._trust, **options)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """Whom to trust is settled: a bundle named here would go into the context that all share."""
        return super().build_connection_pool_key_attributes(request, True)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave the context as it is: requests would have it trust its own bundle besides."""

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        trust = {"ssl_context": self._trust, "proxy_ssl_context": self._trust}
        return super().proxy_manager_for(proxy, **trust, **options)


class _BoundedAdapter(_Adapter):
    """The same, with one bound of time for each answer."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = POOLS
        return manager


def _trust(ca: str) -> ssl.SSLContext:
    """A context that verifies against this bundle: a file, or a directory of hashed certificates."""
    try:
        if os.path.isdir(ca):
            return ssl.create_default_context(capath=ca)
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise ValueError(f"the environment's CA bundle {ca!r} is unusable: {error}") from None
