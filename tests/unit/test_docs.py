"""What the documents name is there: files, commands, scripts, pages."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import tasks
import tasks.results
from worker.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LUA = ROOT / "worker" / "store" / "lua"
CODE = r"(?<![\w./-])((?:worker|tasks|tests|docs|examples|bench|requirements)/[\w./*-]+)"
PLACEHOLDER = "NAME"
"""Stands for any name in a path."""


@pytest.fixture(scope="module")
def usage() -> str:
    """What ./dev says of itself."""
    return subprocess.run([sys.executable, "dev", "--help"], cwd=ROOT, capture_output=True, text=True).stdout


def found(page: Path, pattern: str) -> set[str]:
    return set(re.findall(pattern, page.read_text("utf-8"), re.MULTILINE))


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_path_exists(page: Path) -> None:
    """Of code, tests and documents; a pattern finds at least one file."""
    paths = {path.rstrip(".") for path in found(page, CODE) if PLACEHOLDER not in path}
    assert {path for path in paths if not any(ROOT.glob(path.rstrip("/")))} == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_script_exists(page: Path) -> None:
    """A Lua script goes by its file's name, with or without its folder."""
    scripts = found(page, r"(?<![\w/])(\w+\.lua)\b")
    assert {name for name in scripts if PLACEHOLDER not in name and not (LUA / name).is_file()} == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file beside the page, and to a heading of it where it names one."""
    for target in found(page, r"\]\(([^)\s]+)\)"):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        if anchor:
            headings = found(file, r"^#+ (.+)$")
            slugs = {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
            assert anchor in slugs, target


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_developers_command_exists(page: Path, usage: str) -> None:
    """As ./dev lists them."""
    commands = found(page, r"\./dev ([a-z]+(?:-[a-z]+)*)")
    assert {name for name in commands if not re.search(rf"^  {name} ", usage, re.MULTILINE)} == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_exists(page: Path) -> None:
    """As `aigc --help` lists them."""
    commands = found(page, r"`aigc ([a-z]+)") | found(page, r"^aigc ([a-z]+)")
    assert commands - set(cli.commands) == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_below_a_command_exists(page: Path) -> None:
    """Such as `aigc failed list`."""
    for name, group in cli.commands.items():
        if isinstance(group, click.Group):
            below = found(page, rf"`aigc {name} ([a-z]+)") | found(page, rf"^aigc {name} ([a-z]+)")
            assert below - set(group.commands) == set()


def test_every_function_of_the_architecture_exists() -> None:
    """`Class.method` of worker and tasks, and functions and scripts by a name of several words."""
    page = ROOT / "docs" / "architecture.md"
    files = [file for name in ("worker", "tasks") for file in (ROOT / name).rglob("*.*")]
    code = "\n".join(file.read_text("utf-8") for file in files if file.suffix in (".py", ".lua"))
    methods = set(re.findall(r"`([A-Z]\w+)\.([a-z_]\w+)`", page.read_text("utf-8")))
    assert len(methods) > 15
    for name, method in methods:
        assert re.search(rf"^class {name}\b", code, re.MULTILINE), name
        assert f"    def {method}(" in code, f"{name}.{method}"
    assert found(page, r"`(?:[a-z]+\.)?(_?[a-z]+_[a-z_]+)`") <= set(re.findall(r"\w+", code))


def test_one_table_names_all_that_producers_and_consumers_import() -> None:
    """Each public name, and each argument of each function, is in it: nobody needs `help()`."""
    page = ROOT / "docs" / "reference" / "python.md"
    rows = "\n".join(re.findall(r"^\|.*\|$", page.read_text("utf-8"), re.MULTILINE))
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`]*`", rows))))
    types = {"Results", "AsyncResults"}
    for module in (tasks, tasks.results):
        assert set(module.__all__) - types - words == set()
        functions = filter(inspect.isroutine, (getattr(module, name) for name in module.__all__))
        for function in functions:
            arguments = set(inspect.signature(function).parameters) - {"celery_options", "options"}
            assert arguments - words == set(), function.__name__


def test_the_readmes_are_short_and_alike() -> None:
    """At most 120 lines, in both languages with the same blocks, and the same links but to each other."""
    english, chinese = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md"))
    for text in (english, chinese):
        assert len(text.splitlines()) <= 120
    links = r"\]\((?!README)([^)\s]+)\)"
    assert sorted(re.findall(links, english)) == sorted(re.findall(links, chinese))
    code = r"^```[a-z]+\n.*?^```$"
    assert [_without_comments(block) for block in re.findall(code, english, re.DOTALL | re.MULTILINE)] == [
        _without_comments(block) for block in re.findall(code, chinese, re.DOTALL | re.MULTILINE)
    ]


def _without_comments(code: str) -> str:
    return re.sub(r" *#.*", "", code)


def test_every_decision_has_a_number_of_its_own() -> None:
    """Without a gap: two that are written at once show here."""
    numbers = [int(page.name[:4]) for page in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_words_of_earlier_versions_are_gone(page: Path) -> None:
    """But where a name that is stored or public is quoted."""
    text = re.sub(r"`[^`\n]*`", "", page.read_text("utf-8"))
    assert (
        re.findall(r"\b(siding|shelf|shelves|doorbell|upkeep|mover|submitter)\b", text, re.IGNORECASE) == []
    )
