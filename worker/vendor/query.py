"""The client that asks the vendor what has become of a task; for any number of threads."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Final
from weakref import WeakSet

import requests

from tasks.checks import is_task_id
from worker.domain.query import QueryOutcome, TaskUnknown, Unanswered, read_query_answer
from worker.domain.query_signing import DEFAULT_FORM, QueryForm, query_headers, query_uri
from worker.domain.signing import Credentials
from worker.vendor.connector import Connector
from worker.vendor.remedies import remedy_of
from worker.vendor.response import readable_body

QUERY_ANSWER_MAX_BYTES: Final = 65_536
"""So much of an answer is read; a right one has fewer than 10,000."""
REASON_MAX_CHARS: Final = 300


class QueryClient:
    """Asks about tasks, one signed GET each, which is never sent twice and follows no redirect.

    Thread-safe: each thread has a session of its own. Proxies and CA bundle are read from the environment
    here, once. Nothing is opened before the first `ask`, so a process may fork after this.

    Args:
        endpoint: scheme, host and port; ``http://`` to a loopback address only.
        access_key, secret_key: what to sign with.
        form: how to sign.
        connect_timeout_s: seconds to connect (to each address of the host), for the TLS handshake, to send.
        read_timeout_s: seconds from the request's last byte to the answer's last byte.
        keep_alive: use a connection for more than one request.
        clock: seconds since the epoch, for the timestamp that is signed.

    Raises:
        ValueError: the endpoint, a key, or the environment's proxy or CA bundle, cannot be used.
    """

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        form: QueryForm = DEFAULT_FORM,
        *,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 30.0,
        keep_alive: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._keys = Credentials(access_key, secret_key)
        self._form = form
        self._timeouts_s = connect_timeout_s, read_timeout_s
        self._keep_alive = keep_alive
        self._clock = clock
        self._connector = Connector(endpoint)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._sessions = WeakSet[requests.Session]()
        self._is_closed = False

    def ask(self, task_id: str) -> QueryOutcome:
        """What the vendor says of this task. Waits for it; never raises."""
        if not is_task_id(task_id):
            return TaskUnknown("AIGC_TASK_ID", "this cannot be the id of a task")
        # No list of classes: whatever went wrong, nothing was learned.
        try:
            return self._ask(task_id)
        except Exception as error:
            return Unanswered(self._words(error))

    def close(self) -> None:
        """Close the connections; whatever is asked afterwards is not answered."""
        with self._lock:
            self._is_closed = True
            sessions = list(self._sessions)
        for session in sessions:
            session.close()

    def _ask(self, task_id: str) -> QueryOutcome:
        uri = query_uri(task_id)
        now = self._clock()
        headers = query_headers(
            self._form, self._keys, uri=uri, request_id=str(uuid.uuid4()), timestamp_ms=int(now * 1000)
        )
        url = self._endpoint + uri
        with self._session().get(url, headers=headers, timeout=self._timeouts_s, stream=True) as answer:
            came, broken_off = _beginning(answer)
            coding, media_type = (answer.headers.get(name) for name in ("Content-Encoding", "Content-Type"))
            body = readable_body(came, coding, media_type)
            outcome = read_query_answer(answer.status_code, answer.headers, body, task_id, now)
        if broken_off is not None and isinstance(outcome, Unanswered):
            raise broken_off
        return outcome

    def _session(self) -> requests.Session:
        """This thread's."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._connector.session()
            session.headers.clear()
            session.headers.update({"User-Agent": "aigc-worker", "Accept-Encoding": "identity"})
            if not self._keep_alive:
                session.headers["Connection"] = "close"
            self._local.session = session
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the client is closed")
            self._sessions.add(session)
        return session

    def _words(self, error: Exception) -> str:
        cause = _cause(error)
        words = f"{type(cause).__name__}: {cause}"
        for secret in (self._keys.secret_key, self._keys.access_key):
            words = words.replace(secret, "***")
        remedy = remedy_of(cause) if isinstance(error, requests.ConnectionError) else ""
        words = words[:REASON_MAX_CHARS]
        return f"{words} ({remedy})" if remedy else words


def _beginning(answer: requests.Response) -> tuple[bytes, Exception | None]:
    """As much of the body as is read: up to a bound, or to where it breaks off, and why it does.

    Of an answer that breaks off the status may be all that is needed.
    """
    body = bytearray()
    try:
        while len(body) < QUERY_ANSWER_MAX_BYTES:
            part = answer.raw.read1(QUERY_ANSWER_MAX_BYTES - len(body), decode_content=False)
            if not part:
                break
            body += part
    # Any class, as in `ask`.
    except Exception as error:
        return bytes(body), error
    return bytes(body), None


def _cause(error: BaseException) -> BaseException:
    """What libraries wrap several times, as the system said it."""
    seen = set[int]()
    while (inner := error.__cause__ or error.__context__) and id(inner) not in seen:
        seen.add(id(inner))
        error = inner
    return error
