"""Celery's `task_always_eager`: a program's tests set it so that nothing is queued. We cannot obey it."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any, Final

from .exceptions import SettingsError

OWN_APP: Final = "aigc"
"""The name of the Celery apps that this program makes for itself."""

_WORDS: Final = "task_always_eager is set on the Celery app"
_WHAT_NOW: Final = (
    "a job cannot run in this process, so it would be queued, and a worker would buy it. In tests capture"
    " what is submitted, with tasks.testing.capture() or pytest's fixture aigc_jobs; elsewhere unset it"
)


def refuse_eager() -> None:
    """Refuse to queue from a process whose tasks are to run in it: a worker elsewhere would buy the job.

    Raises:
        SettingsError: a ValueError, naming the Celery app that says so.
    """
    celery_state: Any = sys.modules.get("celery._state")
    for app in celery_state._get_active_apps() if celery_state else ():
        if app.main != OWN_APP and _is_eager(app):
            raise SettingsError([f"{_WORDS} {app.main!r}: {_WHAT_NOW}"])


def _is_eager(app: Any) -> bool:
    # The app may read its configuration only here, and fail at it: the program will find out by itself.
    with suppress(Exception):
        return bool(app.conf.task_always_eager)
    return False
