"""What Celery's `revoke` broadcasts, read without trust. Pure."""

from __future__ import annotations

import binascii
from typing import Any, Final

from tasks.checks import is_job_id
from tasks.json_text import loads

MOST_IDS: Final = 1_000
"""Of one broadcast."""


def channel_of(database: int) -> str:
    """Where kombu publishes Celery's broadcasts on Redis, by the number of the database."""
    return f"/{database}.celery.pidbox"


def revoked_ids(raw: object) -> list[str]:
    """The ids that a broadcast revokes; none where it is another command, or is for some workers only."""
    try:
        message: Any = loads(raw) if isinstance(raw, bytes) else None
        body = message["body"]
        if message["properties"].get("body_encoding") == "base64":
            body = binascii.a2b_base64(body, strict_mode=True)
        command = loads(body)
        if command["method"] != "revoke" or command.get("destination") or command.get("pattern"):
            return []
        ids: Any = command["arguments"]["task_id"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
    listed = ids if isinstance(ids, list) else [ids]
    return [each for each in listed[:MOST_IDS] if is_job_id(each)]
