"""Numbers as people read and write them. Pure."""

from __future__ import annotations

import re
from typing import Final

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(text: str) -> int | None:
    """A duration such as `90s`, `30m`, `2h` or `7d`, in seconds; None where it is none."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    return int(match[1]) * _UNITS_S[match[2]] if match else None


def counted(count: int, thing: str, things: str = "") -> str:
    """A number of things in words: 1 job, 1,200 jobs; the plural where it is not made by an s."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {things or thing + 's'}"


def age(seconds: float | None) -> str:
    """Seconds in two digits or so: `4.2 s`, `12 min`, `3.5 h`, `2.1 d`."""
    if seconds is None:
        return "?"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
