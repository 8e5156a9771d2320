"""Whether the store of finished files takes files: a line of `aigc doctor`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from tasks.exceptions import SettingsError
from worker.config.settings import Settings


def store_findings(settings: Settings) -> Iterator[tuple[bool, str]]:
    """What came of writing a few bytes to the store, and removing them; nothing where there is no store."""
    from worker.from_settings import keeper_of

    if settings.store is None:
        return
    if settings.follow is None:
        yield False, "AIGC_STORE_URL is set, and AIGC_FOLLOW is off: workers keep no file; set AIGC_FOLLOW=on"
    missing = _missing(settings.store.root) if settings.store.scheme == "file" else []
    try:
        keeper = keeper_of(settings)
        fault = keeper.check() if keeper else None
    except SettingsError as error:
        yield from ((False, problem) for problem in error.problems)
        return
    finally:
        _remove(missing)
    yield (
        fault is None,
        f"AIGC_STORE_URL: {fault or 'the store takes files; the test file is gone again'}",
    )
    if missing and not fault:
        words = (
            "no worker has used this folder yet; where workers are running, what was mounted there is gone"
        )
        yield True, f"AIGC_STORE_URL: {words}: restart them once it is back"


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
