"""A client of the sandbox over real sockets."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from tests.conditions import until
from worker.domain import signing
from worker.domain.query_signing import DEFAULT_FORM, query_headers, query_uri

KEYS = signing.Credentials("sandbox-access-key", "sandbox-secret-key")
BOUND_S = 60.0


class Client:
    """Speaks to one sandbox, a connection for each request."""

    def __init__(self, url: str) -> None:
        self.address = str(urlsplit(url).netloc)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, timeout=BOUND_S)

    def send(self, connection: http.client.HTTPConnection, prompt: str, **headers: str) -> None:
        """Send a signed submit and do not read the answer."""
        algo_input = {"inputText": prompt, "width": 1024, "height": 1024}
        payload = {"workflow": "TEXT2IMAGE", "version": "1.0.0", "algoInput": algo_input}
        body = json.dumps(payload).encode()
        now_ms, request_id = int(time.time() * 1000), str(uuid.uuid4())
        right = signing.headers(KEYS, body=body, request_id=request_id, timestamp_ms=now_ms)
        connection.request("POST", signing.SUBMIT_URI, body, right | headers)

    def submit(self, prompt: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
        """Send a signed submit and read the whole answer."""
        with closing(self.connect()) as connection:
            self.send(connection, prompt, **headers)
            response = connection.getresponse()
            return response, response.read()

    def vendor(self, prompt: str, **headers: str) -> Any:
        """The vendor's JSON answer to a submit."""
        return json.loads(self.submit(prompt, **headers)[1])

    def query(self, task_id: str, **headers: str) -> Any:
        """The vendor's JSON answer to a query, signed in the default form."""
        uri, now_ms = query_uri(task_id), int(time.time() * 1000)
        right = query_headers(DEFAULT_FORM, KEYS, uri=uri, request_id=str(uuid.uuid4()), timestamp_ms=now_ms)
        with closing(self.connect()) as connection:
            connection.request("GET", uri, headers=right | headers)
            return json.loads(connection.getresponse().read())

    def call(self, path: str, change: object = None) -> Any:
        """GET, or POST of ``change`` as JSON; the answer's JSON."""
        with closing(self.connect()) as connection:
            method, body = ("GET", None) if change is None else ("POST", json.dumps(change))
            connection.request(method, path, body)
            return json.loads(connection.getresponse().read())

    def stats(self) -> Any:
        return self.call("/_sandbox/stats")


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once the condition holds of the sandbox; fail when it does not within a bound."""
    until(condition, "the condition to come true", BOUND_S)
