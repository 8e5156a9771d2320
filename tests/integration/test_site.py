"""The documentation as a site: it builds, nothing in it is stale, nothing is loaded from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from website import demo_picture
from website.__main__ import GENERATED, stale
from worker.dev.demo import JOBS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `./dev docs` does: a dead link, or a page without a place, fails."""
    directory = tmp_path_factory.mktemp("site")
    script = (
        f"import sys, pathlib, website.__main__ as w; sys.exit(w.build(pathlib.Path({str(directory)!r})))"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return directory


class Loaded(HTMLParser):
    """The addresses from which a page loads what it needs."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
        self.addresses += [value for name, value in attrs if value and name == names.get(tag)]


def loaded(page: Path) -> Iterator[str]:
    parser = Loaded()
    parser.feed(page.read_text("utf-8"))
    yield from parser.addresses


def test_every_page_is_built(site: Path) -> None:
    """One for each page of docs/, and each is reached from the first one's navigation."""
    first = (site / "index.html").read_text("utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        assert (site / name).is_file()
        assert f'href="{name}"' in first, name


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """No font, script, style or picture of another host: the site works without a network."""
    for page in site.rglob("*.html"):
        assert [address for address in loaded(page) if re.match(r"(https?:)?//", address)] == [], page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", style.read_text("utf-8")), style


def test_examples_are_in_the_site(site: Path) -> None:
    """Links to them lead there."""
    page = (site / "how-to" / "read-results.html").read_text("utf-8")
    (target,) = set(re.findall(r'href="([^"]+consume_results\.py)"', page))
    there = (site / "how-to" / target).resolve()
    assert there.read_bytes() == (ROOT / "examples" / "consume_results.py").read_bytes()


def test_generated_pages_say_what_the_code_says() -> None:
    """Else `./dev docs` writes them anew."""
    assert stale() == []
    assert set(GENERATED) == {"docs/reference/api.md", "docs/reference/cli.md"}


def test_the_picture_shows_what_the_demo_prints() -> None:
    """Each of its jobs, without a font of another host. `./dev demo-picture` draws it anew."""
    picture = demo_picture.PICTURE.read_text("utf-8").replace("&#160;", " ")
    for name in JOBS:
        assert len(re.findall(rf"\b{name}\b", picture)) >= 3
    assert "submitted" in picture
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "").replace("http://127.0.0.1", "")


def test_the_picture_is_drawn_from_what_is_printed() -> None:
    """The same output gives the same picture."""
    drawn = demo_picture.draw("redis    redis://127.0.0.1:1/0\n  image to video   submitted  task x\n")
    assert drawn == demo_picture.draw(
        "redis    redis://127.0.0.1:1/0\n  image to video   submitted  task x\n"
    )
    assert os.environ.get("NO_COLOR") or "demo-r2" in drawn
