"""What is asked for a program's user: all of its rules, on keys that are there to be used so."""

from __future__ import annotations

import pytest

from worker.store.acl import KEYLESS, ROLES, rights_of
from worker.store.keys import KeyNames
from worker.store.role_needs import fits, needs_of
from worker.store.selftest_commands import sent

KEYS = KeyNames("q", "q:results", "q:outputs")
OF_ALL_KEYS = ("operator", "ui")


@pytest.mark.parametrize("role", [role for role in ROLES if role not in ("worker", *OF_ALL_KEYS)])
def test_each_command_of_each_rule_is_asked_for(role: str) -> None:
    """On a key that the rule's pattern is for."""
    needs = needs_of(role, KEYS)
    assert needs.patterns is not None
    asked = {(needs.patterns.get(str(key)), name) for name, key, *_ in needs.commands}
    rules = {(pattern, name) for pattern, names in rights_of(role, KEYS).items() for name in names}
    assert rules - asked == set()


@pytest.mark.parametrize("role", OF_ALL_KEYS)
def test_who_may_do_much_with_all_keys_is_asked_for_what_fits_each(role: str) -> None:
    """Each command on some key; none on a key of another type."""
    needs = needs_of(role, KEYS)
    named = {str(name) for name, *_ in needs.commands}
    assert set().union(*rights_of(role, KEYS).values()) - named == set()
    assert [each for each in needs.commands if each[1] == "q:paused" and str(each[0])[0] in "HLZX"] == []


@pytest.mark.parametrize("role", ROLES)
def test_what_stands_alone_is_asked_for(role: str) -> None:
    """But for what the connection itself tells, and what is done without."""
    needs = needs_of(role, KEYS)
    named = {str(name) for name, *_ in (*needs.commands, *needs.outside)}
    told = {"SELECT", "CLIENT|SETINFO", "CLIENT|SETNAME", "MULTI", "DISCARD"}
    by_selftest = {"EVALSHA", "SCRIPT|LOAD", "TIME", "PUBLISH"}
    wanted = set(KEYLESS[role].split()) - told if role != "worker" else by_selftest
    assert wanted - named == set()


@pytest.mark.parametrize(
    ("command", "kind", "does"),
    [
        ("HGET", "hash", True), ("HGET", "list", False), ("SET", "string", True), ("SET", "set", False),
        ("SADD", "set", True), ("STRLEN", "set", False), ("ZADD", "zset", True), ("XADD", "stream", True),
        ("XADD", "zset", False), ("TTL", "stream", True), ("MEMORY|USAGE", "hash", True),
    ],
)  # fmt: skip
def test_a_command_fits_keys_of_its_type(command: str, kind: str, does: bool) -> None:
    """Some fit any."""
    assert fits(command, kind) is does


def test_a_command_is_sent_with_its_key_where_redis_wants_it() -> None:
    """Its second word before the key; what reads streams, and scripts, have more before it."""
    assert sent(("XINFO|STREAM", "k")) == ("XINFO", "STREAM", "k")
    assert sent(("XREAD", "k", 0)) == ("XREAD", "STREAMS", "k", 0)
    assert sent(("EVALSHA", "k")) == ("EVALSHA", "0" * 40, 1, "k")
    assert sent(("SCAN", "", "never")) == ("SCAN", "never")
