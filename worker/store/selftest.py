"""Placeholder."""

from __future__ import annotations

from typing import Any

from worker.store.keys import Keys


def refusals(client: Any, keys: Keys) -> list[str]:
    return []
