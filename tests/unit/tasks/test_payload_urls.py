"""URLs in a payload: only what somebody outside can reach."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import ImageToVideo, InvalidPayload, checks
from tasks.checks import is_public_url
from tasks.payload import doubts, parse
from tests.unit.tasks import samples


def refusal(payload: Any, *, unlisted: bool = False) -> dict[str, str]:
    """The errors with which a payload is refused, by path."""
    with pytest.raises(InvalidPayload) as caught:
        parse(payload, unlisted=unlisted)
    return dict(caught.value.errors)


def with_input(sample: Callable[[], dict[str, Any]], **fields: Any) -> dict[str, Any]:
    payload = sample()
    payload["algoInput"].update(fields)
    return payload


@pytest.mark.parametrize(
    "url",
    [
        samples.IMAGE,
        "http://example.com",
        "HTTPS://EXAMPLE.COM/A.JPG",
        "https://example.com:8443/a%20b.png?sign=a+b%2F==&x=1#part",
        "https://user@example.com/a.jpg",
        "https://例え.テスト/写真.jpg",
        "https://8.8.8.8/a.jpg",
        "https://[2001:4860:4860::8888]/a.jpg",
        "https://example.com/" + "x" * 2028,
    ],
)
def test_public_urls_pass_unchanged(url: str) -> None:
    """Any absolute http(s) URL with a public host is accepted as it is."""
    assert parse(with_input(samples.image_to_video, inputImage=url))["algoInput"]["inputImage"] == url


NEVER = re.compile(r"(?!)")


HOSTS = st.from_regex(r"\A[a-z0-9.-]{0,20}(localhost|com|0x7f|1)?[.]?[:/?#@a-z]{0,3}[^\n]{0,5}\Z")


@given(st.from_regex(checks._ORDINARY_URL) | HOSTS.map("http://".__add__))
def test_a_short_look_at_a_url_finds_what_a_long_one_finds(url: str) -> None:
    """An ordinary URL is not taken apart; had it been, it would have passed all the same."""
    found = is_public_url(url)
    with patch.object(checks, "_ORDINARY_URL", NEVER):
        assert is_public_url(url) is found


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/a.jpg",
        "//example.com/a.jpg",
        "/a.jpg",
        "ftp://example.com/a.jpg",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "https://",
        "https:///a.jpg",
        "https://:443/a.jpg",
        "https://./a.jpg",
        "https://example.com:port/a.jpg",
        "https://[::1/a.jpg",
        " https://example.com/a.jpg",
        "https://example.com/a b.jpg",
        "https://example.com/a.jpg\n",
        "https://exa\tmple.com/a.jpg",
        "https://example.com/\x00",
        "https://example.com\\@127.0.0.1/a.jpg",
        "https://example.com/\ud800",
        "https://localhost/a.jpg",
        "https://LOCALHOST./a.jpg",
        "https://shop.localhost/a.jpg",
        "https://127.0.0.1/a.jpg",
        "https://example.com@127.0.0.1/a.jpg",
        "https://127.1/a.jpg",
        "https://2130706433/a.jpg",
        "https://0x7f000001/a.jpg",
        "https://0177.0.0.1/a.jpg",
        "https://10.0.0.5/a.jpg",
        "https://172.16.0.1/a.jpg",
        "https://192.168.1.1/a.jpg",
        "https://169.254.169.254/latest/meta-data",
        "https://0.0.0.0/a.jpg",
        "https://1.2.3.4.5/a.jpg",
        "https://[::1]/a.jpg",
        "https://[fe80::1]/a.jpg",
        "https://[fd00::1]/a.jpg",
        "https://[::ffff:127.0.0.1]/a.jpg",
        "https://%31%32%37.0.0.1/a.jpg",
        "https://example.com/" + "x" * 2029,
        b"https://example.com/a.jpg",
        None,
        5,
    ],
)
def test_urls_that_nobody_outside_can_reach_are_refused(url: object) -> None:
    """What is no absolute http(s) URL, or surely not public, is refused by the field's name."""
    assert list(refusal(with_input(samples.image_to_video, inputImage=url))) == ["algoInput.inputImage"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("//example.com/a.jpg", "it begins with //: put https: before it"),
        ("https://example.com/a b.jpg", "character 22 is a space, which a URL has as %20"),
        (" https://example.com/a.jpg", "it begins with a space"),
        ("https://example.com/a.jpg\n", "it ends with a line break"),
        ("https://exa\tmple.com/a.jpg", "character 12 is a tab"),
        ("https://example.com\\a.jpg", "character 20 is a backslash"),
        ("https://example.com/\u200ba.jpg", "character 21 is the character U+200B ZERO WIDTH SPACE"),
        ("https://example.com/\u00a0a.jpg", "character 21 is the character U+00A0 NO-BREAK SPACE"),
        ("https://example.com/" + "x" * 2029, "it has 2049 characters"),
        ("ftp://example.com/a.jpg", "it begins with ftp://"),
        ("example.com/a.jpg", "it does not begin with http:// or https://"),
        ("https://10.0.0.5/a.jpg", "its host cannot be reached from the public internet"),
    ],
)
def test_the_error_says_what_is_wrong_with_a_url(url: str, reason: str) -> None:
    """By name where a character is: a space at the end cannot be seen."""
    message = refusal(with_input(samples.image_to_video, inputImage=url))["algoInput.inputImage"]
    assert message.startswith("must be a public http:// or https:// URL of at most 2048 characters, got ")
    assert message.endswith(f": {reason}")


@pytest.mark.parametrize("name", ["webp", "heic", "heif", "avif", "gif", "svg", "WEBP"])
@pytest.mark.parametrize("after", ["", "#top", "?", "?#top"])
def test_a_picture_in_a_format_that_the_vendor_does_not_take_is_refused(name: str, after: str) -> None:
    """By the end of the URL's path, where no query could convert it."""
    url = f"https://example.com/a/picture.{name}{after}"
    message = refusal(with_input(samples.virtual_try_on, garmentImage=url))["algoInput.garmentImage"]
    assert message.endswith(f": its path ends in .{name}, and the vendor takes jpg, png and bmp")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.webp.jpg",
        "https://example.com/a.webp/",
        "https://example.com/webp",
        "https://example.com/a.webp!/format/jpg",
        "https://example.com/a.webp@!style",
        "https://example.com/a.jpg?name=b.webp",
        "https://example.com/a.jpg#b.webp",
        "https://example.com?a.webp",
        "https://example.gif",
    ],
)
def test_a_format_counts_only_at_the_end_of_the_path(url: str) -> None:
    """What merely contains the word is accepted, and no doubt is raised."""
    payload = with_input(samples.image_to_video, inputImage=url)
    assert parse(payload) is payload
    assert list(doubts(payload)) == []


def test_a_query_may_convert_a_picture() -> None:
    """It is accepted, and the doubt names the field."""
    url = "https://example.com/a.webp?x-oss-process=image/format,jpg"
    payload = with_input(samples.virtual_try_on, modelImage=url)
    assert parse(payload) is payload
    (doubt,) = doubts(payload)
    assert doubt.startswith(
        "algoInput.modelImage: its path ends in .webp, and the vendor takes jpg, png and bmp"
    )


def test_the_models_say_the_same() -> None:
    """As dicts do."""
    with pytest.raises(InvalidPayload, match=r"algoInput\.inputImage: .*: its path ends in \.gif"):
        ImageToVideo(input_text="", input_image="https://example.com/a.gif")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/a.jpg", "http://localhost/a.jpg", "http://[::1]/a.jpg"]
)
def test_a_setting_allows_addresses_that_are_not_public(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of its networks and no others; a value that cannot be right allows none."""
    payload = with_input(samples.image_to_video, inputImage=url)
    monkeypatch.setenv("AIGC_FETCH_ALLOW", "127.0.0.0/8, ::1/128")
    assert parse(payload) is payload
    for other in (
        "http://10.0.0.1/a.jpg",
        "ftp://127.0.0.1/a.jpg",
        "http://127.0.0.1/a b.jpg",
        "http:///a.jpg",
    ):
        refusal(with_input(samples.image_to_video, inputImage=other))
    for wrong in ("", "10.0.0.0/8", "127.0.0.1/8"):
        monkeypatch.setenv("AIGC_FETCH_ALLOW", wrong)
        assert "algoInput.inputImage" in refusal(payload)
