"""The client of webhooks over real connections: TLS, kept connections, answers of all kinds."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.integration.vendor_server import CERTIFICATE, Script, Server, hang, http, leave, reset, serving
from tests.integration.webhook_endpoint import SECRET
from worker.services.forward import client as client_module
from worker.services.forward.answers import Answer, WebhookOutcome
from worker.services.forward.client import WebhookClient
from worker.services.forward.endpoint import endpoint_of
from worker.services.forward.webhook import Webhook

WEBHOOK = Webhook("msg_1-0-a", "job.submitted", "j", "2026-11-22T22:31:33.123Z", '{"jobId":"j"}')


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts a server with a script, or with one answer for every request; `tls=True` over TLS."""
    yield from serving()


@pytest.fixture
def post() -> Iterator[Callable[..., list[Answer]]]:
    """Sends webhooks to a URL, one after the other."""
    made: list[WebhookClient] = []

    def send(url: str, count: int = 1) -> list[Answer]:
        made.append(WebhookClient(endpoint_of(url), [SECRET]))
        return [made[-1].post(WEBHOOK) for _ in range(count)]

    yield send
    for each in made:
        each.close()


def test_a_connection_is_kept(serve: Callable[..., Server], post: Callable[..., list[Answer]]) -> None:
    """Over TLS as well, with the environment's CA bundle."""
    server = serve(http(b"ok"))
    assert [each.outcome for each in post(server.url, 3)] == [WebhookOutcome.DELIVERED] * 3
    assert (len(server.requests), server.connections) == (3, 1)


def test_tls_is_verified(
    serve: Callable[..., Server], post: Callable[..., list[Answer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whom the environment does not trust is sent nothing; whom it trusts, over one connection."""
    server = serve(http(b"ok"), tls=True)
    (stranger,) = post(server.url)
    assert (stranger.outcome, "certificate" in stranger.words, server.requests) == (
        WebhookOutcome.FAILED,
        True,
        [],
    )
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    before = server.connections
    assert [each.outcome for each in post(server.url, 3)] == [WebhookOutcome.DELIVERED] * 3
    assert server.connections == before + 1


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (hang, "no answer within"),
        (reset, "it was lost"),
        (leave, "it was lost"),
        (b"nonsense\r\n\r\n", "it was lost"),
    ],
    ids=["hang", "reset", "leave", "nonsense"],
)
def test_what_is_no_answer_is_a_failure(
    serve: Callable[..., Server], post: Callable[..., list[Answer]], monkeypatch: pytest.MonkeyPatch,
    script: Script | bytes, words: str,
) -> None:  # fmt: skip
    """On a new connection it is not sent twice."""
    if script is hang:
        monkeypatch.setattr(client_module, "ANSWER_S", 0.5)
    server = serve(script)
    (answer,) = post(server.url)
    assert (answer.outcome, words in answer.words) == (WebhookOutcome.FAILED, True), answer
    assert len(server.requests) == 1


def test_a_kept_connection_that_is_closed_is_no_failure(post: Callable[..., list[Answer]]) -> None:
    """Endpoints close idle ones, at any moment: the webhook goes once more, on a new one."""
    connections = []

    def read(connection: socket.socket) -> bool:
        data = b""
        while not data.endswith(b"}}") and (part := connection.recv(65_536)):
            data += part
        return bool(data)

    def answer_once_each(listener: socket.socket) -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                connections.append(read(connection))
                connection.sendall(http(b"ok"))
                assert read(connection)  # and closes it without an answer
        with listener.accept()[0] as last:
            connections.append(read(last))
            last.sendall(http(b"ok"))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_once_each, args=(listener,))
        thread.start()
        answers = post(f"http://127.0.0.1:{listener.getsockname()[1]}/", 3)
        thread.join()
    assert [each.outcome for each in answers] == [WebhookOutcome.DELIVERED] * 3
    assert len(connections) == 3


def test_what_cannot_be_reached_is_a_failure_in_words(post: Callable[..., list[Answer]]) -> None:
    """Without the URL, which may hold secrets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    (answer,) = post(f"http://127.0.0.1:{port}/hook?token=s3cret")
    assert answer.outcome is WebhookOutcome.FAILED
    assert "ConnectionRefusedError" in answer.words
    assert "s3cret" not in answer.words
