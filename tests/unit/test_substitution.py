"""Words of a page are replaced once, and nothing that was put in is."""

from __future__ import annotations

import pytest

from tests.substitution import substituted


@pytest.mark.parametrize(
    ("text", "instead", "here"),
    [
        ("--port 8081 --redis 6379", {"8081": "16379", "6379": "18081"}, "--port 16379 --redis 18081"),
        ("18081 80810 a8081b", {"8081": "1"}, "18081 80810 a1b"),
        ("/etc/aigc/x", {"/etc/aigc/": "/tmp/0.0.0.0/", "0.0.0.0": "127.0.0.1"}, "/tmp/0.0.0.0/x"),
        ("${URL:-redis://redis}/", {"redis": "b", "${URL:-redis://redis}": "a", "${URL": "c"}, "a/"),
        ("left as it is", {}, "left as it is"),
    ],
)
def test_each_word_is_replaced_once(text: str, instead: dict[str, str], here: str) -> None:
    """A port is no part of a number; what stands for one word is not searched for another."""
    assert substituted(text, instead) == here
