"""Whether the store of finished files takes files: a line of `aigc doctor`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from tasks.exceptions import SettingsError
from worker.cli.checks.finding import Finding, ok, wrong
from worker.config.settings import Settings


def store_findings(settings: Settings) -> Iterator[Finding]:
    """What came of writing a few bytes to the store, and removing them; nothing where there is no store."""
    from worker.from_settings import keeper_of

    if settings.store is None:
        return
    if settings.follow is None:
        what = "AIGC_STORE_URL is set, and AIGC_FOLLOW is off: workers keep no file"
        yield wrong("store", what, "set AIGC_FOLLOW=on")
    missing = _missing(settings.store.root) if settings.store.scheme == "file" else []
    try:
        keeper = keeper_of(settings)
        fault = keeper.check() if keeper else None
    except SettingsError as error:
        yield from (wrong("store", problem) for problem in error.problems)
        return
    finally:
        _remove(missing)
    if fault is None:
        yield ok("store", "AIGC_STORE_URL: the store takes files; the test file is gone again")
    else:
        yield wrong("store", f"AIGC_STORE_URL: {fault}", "docs/how-to/keep-the-pictures.md")
    if missing and not fault:
        words = (
            "no worker has used this folder yet; where workers are running, what was mounted there is gone"
        )
        yield ok("store", f"AIGC_STORE_URL: {words}: restart them once it is back")


def _missing(root: str) -> list[str]:
    """The store's folders that are not there yet, the innermost first."""
    from worker.keeping.folder_store import INCOMING

    path, found = os.path.join(root, INCOMING), []
    while not os.path.lexists(path):
        found.append(path)
        path = os.path.dirname(path)
    return found


def _remove(folders: list[str]) -> None:
    """Leave things as they were: running workers would take a folder made here for the disk that is away."""
    for folder in folders:
        with suppress(OSError):  # it could not be made, or a worker uses it already
            os.rmdir(folder)
