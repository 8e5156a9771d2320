"""Picture URLs as shops have them: what is changed, and what must not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.image_url import image_url_fault
from worker.mapping.urls import clean_url, split_urls, without_signature

URLS = Path(__file__).parents[2] / "data" / "shop" / "urls.txt"


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        ("//cdn.example/a.jpg?v=1", "https://cdn.example/a.jpg?v=1"),
        (" https://s.example/a.jpg\n", "https://s.example/a.jpg"),
        ("https://s.example/2018 副本.jpg", "https://s.example/2018%20%E5%89%AF%E6%9C%AC.jpg"),
        ("https://s.example/100%/a%20b.jpg", "https://s.example/100%25/a%20b.jpg"),
        ("https://s.example/&#21103;.jpg", "https://s.example/&%2321103;.jpg"),
        ("https://bücher.example:8080/a?q=ä", "https://xn--bcher-kva.example:8080/a?q=%C3%A4"),
    ],
)
def test_what_is_no_url_yet_becomes_one(given: str, clean: str) -> None:
    """A missing scheme, blanks, what is beyond ASCII, a lone %, and an entity's # that would cut it off."""
    assert clean_url(given) == clean
    assert image_url_fault(clean) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://s.example/x%20%26%2321103%3B.jpg",
        "https://s.example/a.jpg?v=1&amp;w=2",
        "https://t.example/x.jpg?Expires=1&OSSAccessKeyId=K&Signature=a%2Fb%3D",
        "https://s.example/w_1,h_2/[a]/(b)@2x.jpg#top",
    ],
)
def test_what_is_a_url_stays_as_it_is(url: str) -> None:
    """Escapes are not escaped again, a signed query is not touched, entities are left alone."""
    assert clean_url(url) == url


@pytest.mark.parametrize("text", ["u/tee.jpg", "ftp://s.example/ä", "tee red", "", "https://s.example/a\nb"])
def test_what_cannot_be_one_is_left_for_validation(text: str) -> None:
    """Nothing is guessed."""
    assert clean_url(text) == text.strip()


def test_cleaning_twice_is_cleaning_once() -> None:
    """Of the awkward URLs of a real shop, all of which can be fetched then."""
    for url in filter(None, URLS.read_text("utf-8").splitlines()):
        assert clean_url(clean_url(url)) == clean_url(url)
        assert image_url_fault(clean_url(url)) is None


@pytest.mark.parametrize(
    ("cell", "urls"),
    [
        ("", []),
        ("https://s.example/a.jpg, https://s.example/b c.jpg", ["a.jpg", "b c.jpg"]),
        ("https://s.example/w_1,h_2/a.jpg,https://s.example/b.jpg", ["w_1,h_2/a.jpg", "b.jpg"]),
        ("https://s.example/a.jpg\r\nhttps://s.example/b.jpg", ["a.jpg", "b.jpg"]),
        ("https://s.example/a.jpg | https://s.example/a.jpg|https://s.example/b.jpg", ["a.jpg", "b.jpg"]),
        (
            "https://s.example/a.jpg;https://s.example/b.jpg https://s.example/c.jpg",
            ["a.jpg", "b.jpg", "c.jpg"],
        ),
    ],
)
def test_a_cell_holds_several_urls(cell: str, urls: list[str]) -> None:
    """Parted as shops part them, each once; a comma or a blank within a URL is its own."""
    assert split_urls(cell) == [f"https://s.example/{url}" for url in urls]


@pytest.mark.parametrize(
    ("signed", "bare"),
    [
        ("X-Amz-Algorithm=A&X-Amz-Credential=c%2F1&X-Amz-Date=1&X-Amz-Expires=2&X-Amz-Signature=b", ""),
        ("v=1&X-Amz-Expires=2&X-Amz-Signature=b&X-Amz-Security-Token=t&w=2", "v=1&w=2"),
        ("x-oss-process=style/a&x-oss-expires=2&x-oss-signature=b", "x-oss-process=style/a"),
        ("OSSAccessKeyId=a&Expires=1&Signature=b%2B", ""),
        ("Policy=p&Signature=b&Key-Pair-Id=k", ""),
        ("sv=2022&sr=b&sp=r&se=2026-01-01&sig=b%3D&w=1", "w=1"),
        ("auth_key=1700000000-0-0-abc", ""),
        ("expires=1&v=2", "expires=1&v=2"),
        ("sig=1&st=2", "sig=1&st=2"),
        ("policy=1#Signature=2&Expires=3", "policy=1#Signature=2&Expires=3"),
    ],
)
def test_a_signature_and_what_belongs_to_it_is_left_out(signed: str, bare: str) -> None:
    """And nothing else: neither a version nor how the picture is to be made."""
    mark = "?" if bare else ""
    assert without_signature(f"https://b.example/a.jpg?{signed}") == f"https://b.example/a.jpg{mark}{bare}"
