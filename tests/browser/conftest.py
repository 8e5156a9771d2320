"""A real browser before a real `aigc ui`: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.integration.desk import Desk
from tests.integration.ui_service import Start, services
from tests.redis_server import RedisServer

PATIENCE_MS = 30_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

expect.set_options(timeout=PATIENCE_MS)

Open = Callable[..., Any]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found, f"none of {', '.join(BROWSERS)} is installed: apt-get install chromium"
    with sync_playwright() as playwright:
        # Without its sandbox, which root may not have: it sees no page but ours.
        launched = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def desk(redis_server: RedisServer) -> Iterator[Desk]:
    made = Desk(redis_server)
    yield made
    made.close()


@pytest.fixture
def start(redis_server: RedisServer, tmp_path: Path) -> Iterator[Start]:
    """Starts `aigc ui` with these arguments and settings."""
    with services(redis_server.url, tmp_path) as start:
        yield start


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens a page in a context of its own. At the end the browser may have complained of nothing, but what
    a test expects."""
    complaints: list[str] = []
    contexts: list[Any] = []

    def opened(url: str, *, expects: str = "", **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()

        def complain(words: str) -> None:
            if not expects or expects not in words:
                complaints.append(words)

        def refuse(dialog: Any) -> None:
            complain(f"dialog: {dialog.message}")
            dialog.dismiss()

        page.on("console", lambda said: complain(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complain(str(error)))
        page.on("dialog", refuse)
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
