"""The proxy's names of commands and scripts."""

from __future__ import annotations

from hashlib import sha1

import pytest

from tests.chaos.commands import Names, lua_texts, script_of


@pytest.mark.parametrize("name", lua_texts())
def test_a_script_is_known_by_what_it_says_itself(name: str) -> None:
    """Whatever its loader puts before it."""
    assert script_of(f"-- included\nlocal x = 1\n{lua_texts()[name]}\n") == name


def test_what_is_no_script_of_ours_has_no_name() -> None:
    """Somebody else's script passes."""
    assert script_of("return 1") is None


def test_a_script_is_recognised_once_it_was_loaded() -> None:
    """By its digest; one that was never loaded is told."""
    names, source = Names(), f"local x = 1\n{lua_texts()['settle']}".encode()
    digest = sha1(source, usedforsecurity=False).hexdigest().encode()
    assert names.of([b"EVALSHA", digest, b"0"]) == ("evalsha", None)
    assert names.unknown == {digest.decode()}
    names.learn([b"SCRIPT", b"LOAD", source])
    assert names.of([b"evalsha", digest, b"0"]) == ("evalsha", "settle")
    assert names.of([b"EVAL", source, b"0"]) == ("eval", "settle")
    assert names.of([b"HDEL", b"key", b"field"]) == ("hdel", None)
