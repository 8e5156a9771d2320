"""The endpoint: what is refused, what it is called, and what of it is shown."""

from __future__ import annotations

import pytest

from worker.services.forward.endpoint import endpoint_of


@pytest.mark.parametrize(
    "url",
    ["", "shop.example", "ftp://shop.example/", "http://shop.example/", "http://10.0.0.1/", "https://",
     "https://a b/", "https://shop.example:0/", "https://shop.example:x/", "http://127.0.0.1.example/"],
)  # fmt: skip
def test_what_cannot_be_right_is_refused(url: str) -> None:
    """Plain HTTP too, but at a loopback address."""
    with pytest.raises(ValueError, match="the URL must be https://"):
        endpoint_of(url)


@pytest.mark.parametrize(
    ("url", "shown", "origin"),
    [
        ("https://shop.example/hooks", "https://shop.example/hooks", "https://shop.example"),
        ("https://SHOP.example:443", "https://shop.example/", "https://shop.example"),
        ("https://u:p%40ss@shop.example:8443/h?t=s3cret#x", "https://shop.example:8443/h", "https://shop.example:8443"),
        ("http://127.0.0.1:8000/h", "http://127.0.0.1:8000/h", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/h", "http://[::1]:8000/h", "http://[::1]:8000"),
        ("http://localhost/h", "http://localhost/h", "http://localhost"),
        ("https://10.0.0.1/h", "https://10.0.0.1/h", "https://10.0.0.1"),
    ],
)  # fmt: skip
def test_what_is_shown_has_no_secret(url: str, shown: str, origin: str) -> None:
    """Neither userinfo nor query; private addresses are the operator's choice."""
    endpoint = endpoint_of(url)
    assert (endpoint.url, endpoint.shown, endpoint.origin) == (url, shown, origin)
    assert "s3cret" not in repr(endpoint) + endpoint.name


def test_a_name_stays_when_its_secrets_change() -> None:
    """And is another one for another path, port or scheme."""
    name = endpoint_of("https://shop.example/hooks").name
    for same in ("https://u:p@shop.example/hooks", "https://shop.example:443/hooks?token=new"):
        assert endpoint_of(same).name == name
    others = ("https://shop.example/other", "https://shop.example:8443/hooks", "https://b.example/hooks")
    assert len({name, *(endpoint_of(other).name for other in others)}) == 4
    assert name.startswith("shop.example-")


def test_another_name_may_be_given() -> None:
    """For endpoints that differ in their queries only."""
    assert endpoint_of("https://shop.example/", "shop-a").name == "shop-a"
    for wrong in ("A", "a:b", "-a", "x" * 101, "a b"):
        with pytest.raises(ValueError, match="the name must be"):
            endpoint_of("https://shop.example/", wrong)


def test_secrets_are_known_for_the_log() -> None:
    """In plain text."""
    secrets = endpoint_of("https://u:p%40ss@shop.example/h?t=s%20cret&x=").secrets()
    assert {"u", "p@ss", "s cret"} <= set(secrets)
