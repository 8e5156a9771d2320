"""Sessions: what is signed, what ends them, and what their forms have to bring."""

from __future__ import annotations

import time
from unittest.mock import patch

from worker.services.ui.sessions import LASTS_S, Session, Sessions

TOKEN = "a-token-of-some-length"


def test_a_cookie_is_read_by_the_same_token_only() -> None:
    """After a restart, too; a changed token ends all sessions."""
    sessions = Sessions(TOKEN)
    cookie = sessions.cookie(sessions.begin("ann"))
    found = Sessions(TOKEN).read(cookie)
    assert found is not None
    assert found.who == "ann"
    assert Sessions("another-token-of-some").read(cookie) is None
    assert Sessions(None).read(cookie) is None


def test_a_forged_cookie_is_none() -> None:
    """Whatever it is."""
    sessions = Sessions(TOKEN)
    cookie = sessions.cookie(sessions.begin("ann"))
    for wrong in ("", "a.b.c", cookie[:-1], "A" + cookie, cookie.replace(".", "..", 1), "ü"):
        assert sessions.read(wrong) is None


def test_a_session_ends_by_its_age() -> None:
    """Whatever is done in it."""
    sessions = Sessions(TOKEN)
    with patch("time.time", return_value=time.time() - LASTS_S - 2):
        old = sessions.cookie(sessions.begin("ann"))
    with patch("time.time", return_value=time.time() - LASTS_S + 60):
        young = sessions.cookie(sessions.begin("ann"))
    assert sessions.read(old) is None
    assert sessions.read(young) is not None


def test_who_logged_out_is_out() -> None:
    """A copy of the cookie is worth nothing, others' are as before."""
    sessions = Sessions(TOKEN)
    one, other = sessions.begin("ann"), sessions.begin("bob")
    copy = sessions.cookie(one)
    sessions.end(one)
    assert sessions.read(copy) is None
    assert sessions.read(sessions.cookie(other)) == other


def test_a_form_is_of_its_session() -> None:
    """Neither another session's token nor a cookie's signature passes."""
    sessions = Sessions(TOKEN)
    one, other = sessions.begin("ann"), Session("sid", None)
    assert sessions.has_form_token(one, sessions.form_token(one))
    for wrong in (sessions.form_token(other), "", "é\udcff", sessions.cookie(one).rpartition(".")[2]):
        assert not sessions.has_form_token(one, wrong)
