"""Logging in to the operators' page: by whom, for how long, and who is kept out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.conditions import PATIENCE_S
from tests.integration.ui_service import Start, UiService
from tests.integration.ui_visitor import Visitor, text_of
from tests.redis_server import RedisServer

TOKEN = "a-token-of-some-length"


@pytest.fixture
def start(redis_server: RedisServer, tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda *arguments, token=TOKEN: stack.enter_context(
            UiService(redis_server.url, tmp_path, *arguments, AIGC_UI_TOKEN=token)
        )


def test_with_a_token_one_has_to_log_in(start: Start) -> None:
    """By name and token; then all of it is open, until logging out: a copied cookie is worth nothing then."""
    ui = start("--host", "0.0.0.0")
    visitor = Visitor(ui)
    assert visitor.get().url == f"{ui.url}/login"
    assert requests.get(f"{ui.url}/", timeout=PATIENCE_S).status_code == 401
    wrong = visitor.log_in(TOKEN + "x")
    assert (wrong.status_code, "That is not the token." in text_of(wrong)) == (403, True)
    assert visitor.log_in(TOKEN, "").status_code == 400
    before = visitor.session.cookies.get_dict()
    page = visitor.log_in(TOKEN, "ann@shop <ops>")
    assert (page.url, "ann@shop <ops> Log out" in text_of(page)) == (f"{ui.url}/", True)
    after = visitor.session.cookies.get_dict()
    assert before != after
    for path in ("/metrics", "/api/status", "/dead-letters/"):
        assert visitor.get(path).status_code == 200
    visitor.get()
    assert visitor.post("/logout").url == f"{ui.url}/login"
    for cookies in (before, after):
        assert requests.get(f"{ui.url}/", cookies=cookies, timeout=PATIENCE_S).status_code == 401


def test_whose_session_ended_before_they_confirmed_is_told(start: Start) -> None:
    """On the login page, where the form has led them: else they would take it for done."""
    visitor = Visitor(start())
    visitor.log_in(TOKEN)
    visitor.session.cookies.clear()
    answer = visitor.post("/decisions/a-name", {})
    assert answer.url.partition("?")[0].endswith("/login")
    assert "Your session has ended, so nothing was done." in text_of(answer)
    assert "Your session has ended" not in text_of(Visitor(start()).get())


def test_the_cookie_is_for_nobody_else(start: Start) -> None:
    """No script reads it, no other site sends it; where the browser speaks HTTPS it never goes without."""
    ui = start()

    def flags(**headers: str) -> set[str]:
        answer = requests.get(f"{ui.url}/login", headers=headers, timeout=PATIENCE_S)
        return {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}

    assert {"httponly", "samesite=strict", "path=/"} <= flags()
    assert "secure" not in flags()
    assert "secure" in flags(**{"X-Forwarded-Proto": "https"})


def test_a_token_cannot_be_guessed_quickly(start: Start) -> None:
    """After some wrong ones the right one is refused as well, for a while."""
    visitor = Visitor(start())
    codes = [visitor.log_in(f"wrong-token-{number:06}").status_code for number in range(6)]
    assert codes == [403] * 5 + [429]
    late = visitor.log_in(TOKEN)
    assert (late.status_code, int(late.headers["retry-after"]) <= 20) == (429, True)
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert requests.get(f"{visitor.url}/", headers=bearer, timeout=PATIENCE_S).status_code == 200


def test_a_changed_token_ends_all_sessions(start: Start) -> None:
    """A restart with the same one does not."""
    visitor = Visitor(start())
    visitor.log_in(TOKEN)
    (cookie,) = visitor.session.cookies.get_dict().values()
    for token, status in ((TOKEN, 200), (TOKEN + "-2", 401)):
        url = start(token=token).url
        cookies = {f"aigc-ui-{url.rpartition(':')[2]}": cookie}
        assert requests.get(f"{url}/", cookies=cookies, timeout=PATIENCE_S).status_code == status


def test_a_session_is_good_at_each_process_of_a_token_and_a_question_at_its_own(
    start: Start, redis_server: RedisServer
) -> None:
    """Behind one proxy: who is sent elsewhere is not logged out, and what was asked is not done there."""
    first, second = Visitor(start()), Visitor(start())
    first.log_in(TOKEN)
    (cookie,) = first.session.cookies.get_dict().values()
    second.session.cookies.set(f"aigc-ui-{second.url.rpartition(':')[2]}", cookie)
    assert second.get("/").url == f"{second.url}/"
    asked = first.post("/decisions", {"deed": "pause"})
    path = urlsplit(asked.url).path
    assert second.get(path).status_code == 404
    second.token = first.token
    answer = second.post(path)
    assert (answer.status_code, "nothing was done now" in text_of(answer)) == (409, True)
    assert "or another process of aigc ui asked it" in text_of(answer)
    assert redis_server.client().keys("*:paused") == []
    assert first.post(path).status_code == 200
    assert redis_server.client().smembers("aigc:paused") == {b"*"}


def test_a_login_form_of_another_site_is_refused(start: Start) -> None:
    """Else somebody could be logged in under a name that is not theirs."""
    ui = start()
    visitor, other = Visitor(ui), Visitor(ui)
    other.get("/login")
    visitor.get("/login")
    fields = {"name": "mallory", "token": TOKEN}
    assert visitor.post("/login", {**fields, "form_token": other.token}).status_code == 403
    assert visitor.post("/login", fields, headers={"Origin": "http://evil.example"}).status_code == 403
    assert requests.post(f"{ui.url}/login", data=fields, timeout=PATIENCE_S).status_code == 403
