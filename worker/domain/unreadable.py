"""What a file holds in the place of a job or a product."""

from __future__ import annotations

from tasks.exceptions import AigcError


class Unreadable(AigcError, ValueError):
    """What stands at a place, or the whole, is no job and no product; the message says why."""
