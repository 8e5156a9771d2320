"""Whether the store of finished files takes files: a line of `aigc doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.exceptions import SettingsError
from worker.config.settings import Settings


def store_findings(settings: Settings) -> Iterator[tuple[bool, str]]:
    """What came of writing a few bytes to the store, and removing them; nothing where there is no store."""
    from worker.from_settings import keeper_of

    try:
        keeper = keeper_of(settings)
    except SettingsError as error:
        yield from ((False, problem) for problem in error.problems)
        return
    if keeper is None:
        return
    if settings.follow is None:
        yield False, "AIGC_STORE_URL is set, and AIGC_FOLLOW is off: workers keep no file; set AIGC_FOLLOW=on"
    fault = keeper.check()
    yield (
        fault is None,
        f"AIGC_STORE_URL: {fault or 'the store takes files; the test file is gone again'}",
    )
