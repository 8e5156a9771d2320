"""Hooks of mkdocs: `folder/*` in the navigation, and examples and deploy, which stand beside docs/.

`folder/*` stands for the pages of a folder that the navigation does not name.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

_LINK: Final = re.compile(r"\]\(((?:\.\./)+(?:examples|deploy)/[^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Have the examples and the files of deploy/ in the site."""
    root = Path(config["docs_dir"]).parent
    for path in sorted(each for folder in ("examples", "deploy") for each in (root / folder).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name = path.relative_to(root).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Have links to those, right in the repository, lead to where they are in the site."""
    here = posixpath.dirname(page.file.src_uri)

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(here, link[1]))
        return f"]({posixpath.relpath(target.removeprefix('../'), here or '.')})"

    return _LINK.sub(moved, markdown)


def on_config(config: Any) -> Any:
    """Spell out the navigation."""
    docs = Path(config["docs_dir"])
    named = set(_leaves(config["nav"]))
    config["nav"] = [_spelled(item, docs, named) for item in config["nav"]]
    return config


def _leaves(item: Any) -> Iterator[str]:
    match item:
        case str():
            yield item
        case dict():
            for below in item.values():
                yield from _leaves(below)
        case list():
            for below in item:
                yield from _leaves(below)


def _spelled(item: Any, docs: Path, named: set[str]) -> Any:
    if not isinstance(item, dict):
        return item
    return {
        title: _pages(below, docs, named) if isinstance(below, list) else below
        for title, below in item.items()
    }


def _pages(items: list[Any], docs: Path, named: set[str]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if isinstance(item, str) and item.endswith("/*"):
            pages = sorted(page.relative_to(docs).as_posix() for page in docs.glob(f"{item}.md"))
            found += [page for page in pages if page not in named]
        elif isinstance(item, str) and not (docs / item).exists():
            continue  # an entry for a page that is yet to be written; a misspelt one is found by its `/*`
        else:
            found.append(_spelled(item, docs, named))
    return found
