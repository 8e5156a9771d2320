"""Who may look at the service."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from worker.services.ui.guard import Guard, cookie_name, is_own_name, up
from worker.services.ui.sessions import Session, Sessions

TOKEN = "a-token-of-some-length"


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


def status(
    token: str | None, path: str = "/metrics", sessions: Sessions | None = None, **headers: str
) -> int:
    """What a request with these headers is answered with."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    lines = [(name.encode(), text.encode("latin-1")) for name, text in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "headers": lines}
    asyncio.run(Guard(app, token, sessions or Sessions(token))(scope, None, send))  # type: ignore[arg-type]
    return int(sent[0]["status"])


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer \xe9\xff", 401),
        ("", 401),
    ],
)
def test_with_a_token_whoever_has_it_may_look(authorization: str, expected: int) -> None:
    """By whatever name the service is called."""
    assert status(TOKEN, authorization=authorization, host="metrics.example.com") == expected


def test_probes_need_no_token() -> None:
    """They cannot know one."""
    assert status(TOKEN, "/healthz") == 200
    assert status(TOKEN, "/healthz/") == 401


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:8090", True), ("LOCALHOST", True), ("127.0.0.1:8090", True), ("127.0.0.2", True),
        ("[::1]:8090", True), ("[::1]", True), ("evil.example", False), ("evil.example:8090", False),
        ("127.0.0.1.evil.example", False), ("localhost.evil.example", False), ("192.168.1.7:8090", False),
        ("[fe80::1]:8090", False), ("", False),
    ],
)  # fmt: skip
def test_without_a_token_only_this_machines_own_name_is_answered(host: str, expected: bool) -> None:
    """A page in a browser here may have a name of its own lead here: that one is refused."""
    assert is_own_name(host) is expected
    assert status(None, host=host) == (200 if expected else 403)


def cookie(sessions: Sessions, session: Session) -> str:
    return f"{cookie_name({})}={sessions.cookie(session)}"


def test_who_has_logged_in_may_look_and_who_has_not_is_led_to_the_login_page() -> None:
    """A session without a name was begun by the login page itself, and opens nothing."""
    sessions = Sessions(TOKEN)
    named, nameless = sessions.begin("ann"), sessions.begin()
    assert status(TOKEN, "/", sessions, cookie=cookie(sessions, named)) == 200
    assert status(TOKEN, "/", sessions, cookie=cookie(sessions, nameless)) == 401
    assert status(TOKEN, "/", sessions, cookie=cookie(sessions, nameless), accept="text/html") == 303
    assert status(TOKEN, "/decisions", accept="text/html", authorization="Bearer no") == 401
    for path in ("/login", "/static/ui.css"):
        assert status(TOKEN, path) == 200


def test_ways_to_the_root_are_relative() -> None:
    """A proxy may have given the page a prefix."""
    assert [up(path) for path in ("/", "/login", "/decisions/a", "/a/b/c")] == ["./", "./", "../", "../../"]
