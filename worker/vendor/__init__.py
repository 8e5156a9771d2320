"""The vendor client: one signed POST, a Reply or a Failure. Only this package imports requests and urllib3.

Nothing here sends anything twice: no retries, no redirects, and a kept-alive connection that may have
gone stale is dropped before it is used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, Retry, Timeout
from urllib3.exceptions import TimeoutError as PoolTimeoutError

from worker.core.outcome import Failure, Reply
from worker.core.signing import SUBMIT_URI, Keys, headers
from worker.vendor.connection import NotConnectedError
from worker.vendor.dialer import Dialer

__all__ = ["ANSWER_MAX_BYTES", "Vendor"]

ANSWER_MAX_BYTES: Final = 1_000_000
DETAIL_MAX_CHARS: Final = 300

_NO_RETRIES: Final = Retry(total=False)
_CONSTANT_HEADERS: Final = {"User-Agent": "aigc-worker", "Accept-Encoding": "identity"}


class Vendor:
    """Posts submits to one endpoint, from any number of threads, each with a connection of its own.

    Proxies and CA bundle are read from the environment here, once. Nothing is opened before the first
    post, so a process may fork after this.

    Args:
        endpoint: scheme, host and port; ``http://`` to a loopback address only.
        keys: what to sign with.
        connect_timeout_s: seconds to connect (to each address of the host), and for the TLS handshake.
        read_timeout_s: seconds from the request's last byte to the answer's last byte.
        clock: seconds since the epoch, for the timestamp that is signed.

    Raises:
        ValueError: the endpoint, or the environment's proxy or CA bundle, cannot be used.
    """

    def __init__(
        self,
        endpoint: str,
        keys: Keys,
        *,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._timeout = Timeout(connect=connect_timeout_s, read=read_timeout_s)
        self._clock = clock
        self._dialer = Dialer(endpoint)
        self._of_thread = threading.local()
        self._of_thread.pool = self._dialer.open()

    def post(self, body: bytes, request_id: str) -> Reply | Failure:
        """Sign the body and post it, once. What goes wrong on the way is returned, not raised.

        Args:
            body: the bytes to send.
            request_id: a random UUID, fresh for each attempt.
        """
        pool = self._pool()
        signed = headers(self._keys, body=body, request_id=request_id, timestamp_ms=int(self._clock() * 1000))
        try:
            response = pool.urlopen(
                "POST",
                SUBMIT_URI,
                body=body,
                headers=_CONSTANT_HEADERS | signed,
                retries=_NO_RETRIES,
                redirect=False,
                assert_same_host=False,
                timeout=self._timeout,
                preload_content=False,
            )
        except NotConnectedError as error:
            return _failure(error.__cause__ or error, sent=False)
        # No list of classes here: an error that nobody thought of must never pass for "nothing was sent".
        except Exception as error:
            return _failure(error, sent=True)
        return _reply(response)

    def _pool(self) -> HTTPConnectionPool:
        pool: HTTPConnectionPool | None = getattr(self._of_thread, "pool", None)
        if pool is None:
            pool = self._of_thread.pool = self._dialer.open()
        return pool


def _reply(response: BaseHTTPResponse) -> Reply:
    """Read the answer up to the limit; one that breaks off still has its status."""
    try:
        body = response.read(ANSWER_MAX_BYTES + 1, decode_content=True)
        truncated = len(body) > ANSWER_MAX_BYTES
    except Exception:
        body, truncated = b"", True
    # Spares a connection whose answer was read to its end: that one is back in the pool.
    response.close()
    return Reply(
        status=response.status,
        body=body[:ANSWER_MAX_BYTES],
        retry_after=response.headers.get("Retry-After"),
        date=response.headers.get("Date"),
        truncated=truncated,
    )


def _failure(error: BaseException, *, sent: bool) -> Failure:
    causes = (error, error.__cause__, error.__context__)
    timed_out = sent and any(isinstance(cause, TimeoutError | PoolTimeoutError) for cause in causes)
    return Failure(sent, f"{type(error).__name__}: {error}"[:DETAIL_MAX_CHARS], timed_out)
