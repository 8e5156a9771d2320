"""How the page looks: on a phone, in the dark, read by a machine; and while Redis is away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.scene import PRICES, pictures, set_scene
from tests.integration.desk import Desk
from tests.integration.ui_service import Start, UiService
from tests.redis_server import RedisServer

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1360, "height": 900}}
SHOTS = os.environ.get("SHOTS")
"""A folder, for whoever wants to look at the pictures."""


@pytest.fixture
def url(desk: Desk, redis_server: RedisServer, start: Start) -> Iterator[str]:
    with pictures() as (picture, _):
        set_scene(desk, redis_server.url, picture)
        yield start(**PRICES, AIGC_FETCH_ALLOW="127.0.0.0/8").url


def shoot(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS, f"{name}.png"), full_page=True)


JOB = "/dead-letters/catalogue-4711-front?payload=1"


@pytest.mark.parametrize("path", ["/", "/?window=day", JOB, "/login"])
def test_a_phone_needs_no_scrolling_sideways(url: str, open_page: Open, path: str) -> None:
    """At 360 pixels nothing is wider than the page, and what is touched is large enough."""
    page = open_page(url + path, **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    heights = page.evaluate("[...document.querySelectorAll('button')].map((button) => button.offsetHeight)")
    assert all(height >= 28 for height in heights)
    shoot(page, f"phone{path.partition('?')[0].replace('/', '-')}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(url: str, open_page: Open, scheme: str) -> None:
    """Light or dark, as the system is: the contrast of all text is at least 4.5, as WCAG wants it."""
    page = open_page(url, color_scheme=scheme, **DESKTOP)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 22, 25)"
    assert dark is (scheme == "dark")
    assert page.evaluate(CONTRAST) == []
    shoot(page, scheme)


CONTRAST = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((c) => {
      c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!colour.endsWith(", 0)")) return colour;
    }
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || element.disabled || element.closest("svg") || !element.checkVisibility()) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(element.outerHTML.slice(0, 120));
  }
  return poor;
}"""


def test_pictures_are_shown(desk: Desk, redis_server: RedisServer, start: Start, open_page: Open) -> None:
    """Those of outputs, without telling their host whose page this is."""
    with pictures() as (picture, asked):
        set_scene(desk, redis_server.url, picture)
        page = open_page(start(AIGC_FETCH_ALLOW="127.0.0.0/8").url, **DESKTOP)
        shown = page.locator(".picture img").first
        shown.scroll_into_view_if_needed()
        expect(shown).to_have_js_property("naturalWidth", 300)
        page.close()  # it loads others still, and would complain of a host that has ended
    assert asked
    assert not any("referer" in headers or "cookie" in headers for headers in asked)


def test_a_machine_can_read_it_to_somebody(url: str, open_page: Open) -> None:
    """Landmarks, a name for all that can be used, a head for each column, and words for each plot."""
    page = open_page(url, **DESKTOP)
    for role, name in (
        ("banner", None),
        ("main", None),
        ("status", None),
        ("navigation", "Sections"),
        ("region", "Dead letters"),
        ("img", "Jobs waiting"),
    ):
        assert page.get_by_role(role, name=name).count() >= 1, role
    assert page.evaluate(NAMELESS) == []
    assert page.locator("table:not(:has(th[scope=col]))").count() == 0
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")


NAMELESS = """() => {
  const used = document.querySelectorAll("input:not([type=hidden]), select, button, a");
  const hasName = (element) => element.labels?.length || element.getAttribute("aria-label")
    || element.textContent.trim() || element.querySelector("img[alt]");
  return [...used].filter((element) => !hasName(element)).map((element) => element.outerHTML);
}"""


def test_while_redis_is_away_the_page_says_so(tmp_path: Path, open_page: Open) -> None:
    """What is shown is called old; who comes then is told why, and the page comes back by itself."""
    with RedisServer() as server, UiService(server.url, tmp_path) as ui:
        page = open_page(ui.url, expects="503")
        server.kill()
        expect(page.locator("#notice")).to_contain_text("What you see is old.")
        late = open_page(ui.url, expects="503")
        expect(late.locator("h1")).to_have_text("Redis does not answer")
        server.start()
        expect(page.locator("#notice")).to_have_text("")
        expect(late.locator("#state-title")).to_be_visible()
        leave(page, late)


def test_who_confirmed_while_redis_was_away_is_asked_again(tmp_path: Path, open_page: Open) -> None:
    """By the same question, once Redis is back: the browser gets it, and posts nothing by itself."""
    with RedisServer() as server, UiService(server.url, tmp_path) as ui:
        page = open_page(ui.url, expects="503")
        page.fill("#pause-workflow", "TEXT2IMAGE")
        page.click("text=Pause…")
        server.kill()
        page.click("button.main")
        expect(page.locator("h1")).to_have_text("Redis does not answer")
        server.start()
        expect(page.locator("h1")).to_have_text("Pause TEXT2IMAGE?")
        page.click("button.main")
        expect(page.locator("#report")).to_contain_text("TEXT2IMAGE is paused.")
        leave(page)


def leave(*pages: Any) -> None:
    """What asks again every few seconds complains of a service that has been ended."""
    for page in pages:
        page.goto("about:blank")
