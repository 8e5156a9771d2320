"""A job's record in the journal, by the full names of its fields."""

from __future__ import annotations

import uuid
from typing import Any


def readable(record: dict[bytes, bytes]) -> dict[str, Any]:
    """A record's fields by their full names."""
    if not record:
        return {}
    packed = record.get(b"r", b"")
    return {
        "state": record.get(b"s", b"reserved").decode(),
        "attempts": int(record.get(b"n", 0)),
        "request_ids": [str(uuid.UUID(bytes=packed[i : i + 16])) for i in range(0, len(packed), 16)],
        "task_id": record[b"k"].decode() if b"k" in record else None,
        "possible_duplicate": record.get(b"d") == b"1",
        "owner": record.get(b"o", b"").decode() or None,
        "enqueued_ms": int(record[b"e"]) if b"e" in record else None,
        "finished_s": int(record[b"f"]) if b"f" in record else None,
        **({"answer": record[b"b"].decode("utf-8", "replace")} if b"b" in record else {}),
    }
