"""What the vendor takes, by a picture's first bytes and its size."""

from __future__ import annotations

import os

import pytest

from tests.picture_host import SHOP, bmp, jpg, png, segment
from worker.preflight.picture import STEPS, judge, wanted
from worker.preflight.values import Code, Fault


def judged(picture: bytes, size: int | None = None) -> Fault | None:
    """As it is judged that is fetched as far as is needed."""
    head = b""
    while len(head) < min(least := wanted(head), len(picture)):
        head = picture[:least]
    return judge(head, size or len(picture), complete=len(head) == len(picture))


@pytest.mark.parametrize("make", [jpg, png, bmp])
@pytest.mark.parametrize("sides", [(150, 150), (4096, 4096), (150, 4096), (600, 800)])
def test_pictures_within_the_bounds_pass(make: object, sides: tuple[int, int]) -> None:
    """The bounds belong to them."""
    assert judged(make(*sides)) is None  # type: ignore[operator]


@pytest.mark.parametrize("make", [jpg, png, bmp])
@pytest.mark.parametrize("sides", [(149, 160), (160, 149), (4097, 300), (300, 4097), (1, 1)])
def test_each_side_has_bounds(make: object, sides: tuple[int, int]) -> None:
    """In either direction, so that no rotation matters."""
    found = judged(make(*sides))  # type: ignore[operator]
    words = f"has {sides[0]} x {sides[1]} px: each side must have 150 to 4096 px"
    assert found == Fault(Code.DIMENSIONS, words)


def test_a_bitmap_may_be_old_or_upside_down() -> None:
    """A negative height, and a header of twelve bytes."""
    assert judged(bmp(300, -400)) is None
    assert judged(bmp(300, 400, header=12)) is None
    assert judged(bmp(149, 400, header=12)) is not None


@pytest.mark.parametrize(
    ("size", "code"),
    [
        (5000, None),
        (4999, Code.TOO_SMALL),
        (5 * 1024 * 1024, None),
        (5 * 1024 * 1024 + 1, Code.TOO_LARGE),
        (None, None),
    ],
)
def test_a_size_is_refused_only_where_no_reading_of_kb_lets_it_pass(
    size: int | None, code: Code | None
) -> None:
    """5 KB may be 5,000 bytes, and 5 MB may be 5,242,880; a size that is not known passes."""
    found = judge(jpg(), size, complete=False)
    assert (found and found.code) == code


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ((SHOP / "really_webp.jpg").read_bytes()[:64], "webp"),
        ((SHOP / "html_named.jpg").read_bytes(), "HTML, a page and no picture"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><html>", "HTML, a page and no picture"),
        (b"<html lang='en'>", "HTML, a page and no picture"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x">', "svg"),
        (b"<svg>", "svg"),
        (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied', "XML or HTML, and no picture"),
        (b"GIF89a\x01\x02", "gif"),
        (b"\0\0\0\x1cftypavif\0\0", "avif"),
        (b"\0\0\0\x18ftypheic\0\0", "heic"),
        (b"\0\0\0\x18ftypisom\0\0", "mp4"),
        (b"II*\0\x08\0", "tiff"),
        (b"%PDF-1.7", "pdf"),
        (b'{"error": "not found"}', "JSON, and no picture"),
        (b"BMW makes cars, among them these", "text, and no picture"),
        (b"not found\n", "text, and no picture"),
        (b"\x00\x01\x02\x03", "no picture of a format that is known"),
        (b"\xff\xd8", "no picture of a format that is known"),
    ],
)
def test_other_formats_are_named(head: bytes, name: str) -> None:
    """By their first bytes, whatever the file is called."""
    found = judge(head, 100_000, complete=False)
    assert found == Fault(Code.FORMAT, f"is {name} by its first bytes: must be jpg, png or bmp")


def test_a_jpeg_with_a_small_side_is_found_in_a_real_file() -> None:
    """The shop's sample, of which a part is enough."""
    found = judged((SHOP / "149x160.jpg").read_bytes())
    assert found is not None
    assert found.code is Code.DIMENSIONS


@pytest.mark.parametrize("segments", [0, 1, 3, 12])
def test_dimensions_far_behind_are_looked_for(segments: int) -> None:
    """Previews and profiles stand before them; the bytes in these are not taken for dimensions."""
    before = segment(os.urandom(60_000)) * segments
    assert judged(jpg(300, 400, 2_000_000, before)) is None
    assert judged(jpg(100, 400, 2_000_000, before)) is not None


def test_dimensions_too_far_behind_are_not_known_and_pass() -> None:
    """More than a megabyte is not read for them."""
    before = segment(bytes(60_000)) * 20
    assert judged(jpg(100, 400, 2_000_000, before)) is None
    assert wanted(jpg(100, 400, 2_000_000, before)[: STEPS[-1]]) == STEPS[-1]


@pytest.mark.parametrize("cut", [3, 4, 7])
def test_a_broken_picture_is_refused_only_where_it_is_all_there_is(cut: int) -> None:
    """What is not whole may have its dimensions further on."""
    head = jpg()[:cut]
    assert judge(head, 6000, complete=False) is None
    broken = judge(jpg()[:6] + bytes(6000), 6006, complete=True)
    assert broken == Fault(Code.FORMAT, "is a broken jpg: must be jpg, png or bmp")


def test_an_empty_file_is_too_small() -> None:
    """It has no first bytes."""
    found = judge(b"", 0, complete=True)
    assert found is not None
    assert found.code is Code.TOO_SMALL
    assert judge(b"", None, complete=False) is None


@pytest.mark.parametrize("kind", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"BM" + bytes(12) + b"(\0\0\0"])
def test_bytes_of_strangers_raise_nothing(kind: bytes) -> None:
    """Whatever comes behind the first ones."""
    for _ in range(200):
        judge(kind + os.urandom(100), 6000, complete=True)
