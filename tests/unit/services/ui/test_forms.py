"""Forms: from where they may come, and what they may be."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request

from worker.services.ui.forms import BODY_MOST, FIELDS_MOST, BadForm, of_another_site, posted
from worker.services.ui.sessions import Sessions

SESSIONS = Sessions(None)
SESSION = SESSIONS.begin()
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"sec-fetch-site": "same-origin", "host": "a", "origin": "https://behind.a.proxy"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"host": "ops.example:8090", "origin": "http://ops.example:8090"}, True),
        ({"host": "OPS.example", "origin": "https://ops.example"}, True),
        ({"host": "ops.example", "origin": "https://evil.example"}, False),
        ({"host": "ops.example", "origin": "http://ops.example:81"}, False),
        ({"host": "ops.example", "origin": "null"}, False),
        ({"host": "ops.example"}, True),
    ],
)
def test_a_form_of_another_site_is_refused(headers: dict[str, str], passes: bool) -> None:
    """By what browsers tell of it; who tells nothing is held to the token."""
    assert (of_another_site(Headers(headers)) == "") is passes


def sent(body: bytes, kind: str = FORM, **headers: str) -> Any:
    """What becomes of a POST with this body: the form, or a status."""
    lines = {"content-type": kind, "host": "a", **headers}
    scope = {
        "type": "http", "method": "POST", "path": "/", "query_string": b"", "aigc_session": SESSION,
        "headers": [(name.encode(), text.encode()) for name, text in lines.items()],
    }  # fmt: skip
    chunks = [body[at : at + 65_536] for at in range(0, len(body), 65_536)] or [b""]
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages[-1]["more_body"] = False

    async def receive() -> Any:
        return messages.pop(0)

    try:
        _, form = asyncio.run(posted(Request(scope, receive), SESSIONS))
    except BadForm as error:
        return error.status
    return form


def test_a_form_is_read() -> None:
    """As it is, with the names that stand in it more than once."""
    fields = [("form_token", SESSIONS.form_token(SESSION)), ("job", "a b&=ü"), ("job", "b"), ("empty", "")]
    form = sent(urlencode(fields).encode(), f"{FORM}; charset=utf-8")
    assert (form.getlist("job"), form["empty"]) == (["a b&=ü", "b"], "")


def test_what_is_no_form_of_ours_is_refused() -> None:
    """Without the token, as another type, too large, or broken."""
    good = urlencode({"form_token": SESSIONS.form_token(SESSION)}).encode()
    assert sent(b"") == 403
    assert sent(b"form_token=" + b"a" * 43) == 403
    assert sent(good, "text/plain") == 415
    assert sent(good, "multipart/form-data; boundary=x") == 415
    assert sent(good + b"&a=" + b"x" * BODY_MOST) == 413
    assert sent(good + b"&a=b" * FIELDS_MOST) == 400
    assert sent(good + b"&a=%ff") == 400
    assert sent(good + b"&a=\xff") == 400
    assert sent(good, **{"sec-fetch-site": "cross-site"}) == 403
