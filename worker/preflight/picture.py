"""Whether the vendor takes a picture, by its first bytes and its size. Pure.

Only a certain fault counts: what cannot be told passes, for the vendor decides.
"""

from __future__ import annotations

import io
from typing import Final

import imagesize

from worker.domain.formats import format_of
from worker.preflight.values import Code, Fault

TAKEN: Final = frozenset({"jpg", "png", "bmp"})
"""The formats that the vendor takes."""

SMALLEST_BYTES: Final = 5 * 1000
LARGEST_BYTES: Final = 5 * 1024 * 1024
"""The vendor says 5 KB and 5 MB. Each is taken in the sense that lets more pass."""

SHORTEST_SIDE_PX: Final = 150
LONGEST_SIDE_PX: Final = 4096
STEPS: Final = (16 * 1024, 64 * 1024, 256 * 1024, 1024 * 1024)
"""How many bytes are asked for: before its dimensions a JPEG may have profiles and previews of any size."""


def wanted(head: bytes) -> int:
    """How many bytes of its beginning are needed to judge a picture, by those that are known."""
    if head and (format_of(head) != "jpg" or dimensions(head) is not None):
        return len(head)
    return next((step for step in STEPS if step > len(head)), len(head))


def judge(head: bytes, size: int | None, *, complete: bool) -> Fault | None:
    """What is wrong with a picture; None where nothing surely is.

    Args:
        head: its first bytes.
        size: in bytes, or a lower bound of it above what is taken; None where it is not known.
        complete: the head is the whole of it.
    """
    if complete and not head:
        return Fault(Code.TOO_SMALL, f"is empty: {_SIZE}")
    found = format_of(head) if head else None
    if found is not None and found not in TAKEN:
        return Fault(Code.FORMAT, f"is {found} by its first bytes: must be jpg, png or bmp")
    if size is not None and size > LARGEST_BYTES:
        return Fault(Code.TOO_LARGE, f"has more than 5 MB ({LARGEST_BYTES:,} bytes): {_SIZE}")
    if size is not None and size < SMALLEST_BYTES:
        return Fault(Code.TOO_SMALL, f"has {size:,} bytes: {_SIZE}")
    return _judged_by_sides(head, str(found), complete) if found else None


_SIZE: Final = "must have at least 5 KB and at most 5 MB"


def _judged_by_sides(head: bytes, name: str, complete: bool) -> Fault | None:
    sides = dimensions(head)
    if sides is None:
        return Fault(Code.FORMAT, f"is a broken {name}: must be jpg, png or bmp") if complete else None
    width, height = sides
    if min(sides) < SHORTEST_SIDE_PX or max(sides) > LONGEST_SIDE_PX:
        allowed = f"each side must have {SHORTEST_SIDE_PX} to {LONGEST_SIDE_PX} px"
        return Fault(Code.DIMENSIONS, f"has {width} x {height} px: {allowed}")
    return None


def dimensions(head: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, in any order, since the same bounds hold for both; None if not known."""
    if head[:2] == b"BM" and head[14:18] == b"\x0c\0\0\0":
        # The oldest header, which imagesize reads as the newer one.
        sides = int.from_bytes(head[18:20], "little"), int.from_bytes(head[20:22], "little")
    else:
        try:
            width, height = imagesize.get(io.BytesIO(head), exif_rotation=False)
            sides = int(width), int(height)
        except Exception:  # of whatever class: these are bytes of strangers
            return None
    return sides if min(sides) > 0 else None
