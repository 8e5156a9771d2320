"""What Celery's `revoke` broadcasts, as kombu writes it, and what is none."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from worker.domain.revocation import MOST_IDS, channel_of, revoked_ids


def broadcast(**command: Any) -> bytes:
    """As kombu publishes it."""
    plain = {"method": "revoke", "arguments": {"task_id": "a"}, "destination": None, "pattern": None}
    whole = {**plain, **command}
    body = base64.b64encode(json.dumps(whole).encode()).decode()
    return json.dumps({"body": body, "headers": {}, "properties": {"body_encoding": "base64"}}).encode()


@pytest.mark.parametrize(
    ("ids", "found"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), ([], []), (None, []), (["a", 7, "", "x" * 201, "b\n"], ["a"])],
)
def test_the_ids_are_those_that_can_be_a_jobs(ids: Any, found: list[str]) -> None:
    """One or many."""
    assert revoked_ids(broadcast(arguments={"task_id": ids, "terminate": True})) == found


def test_of_one_broadcast_so_many_are_read() -> None:
    """A bound, as for all that anybody may write."""
    assert len(revoked_ids(broadcast(arguments={"task_id": ["a"] * 5 * MOST_IDS}))) == MOST_IDS


NONE = {
    "another command": broadcast(method="ping"),
    "for one worker": broadcast(destination=["celery@host"]),
    "for workers by a pattern": broadcast(pattern="*@host"),
    "no arguments": broadcast(arguments=None),
    "no id": broadcast(arguments={}),
    "not JSON": b"\xff",
    "a number of a subscription": 1,
    "a list": b"[]",
    "no properties": b'{"body": "e30="}',
    "bad base64": b'{"body": "%", "properties": {"body_encoding": "base64"}}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("raw", NONE.values(), ids=NONE)
def test_anything_else_revokes_nothing(raw: object) -> None:
    """Never an exception."""
    assert revoked_ids(raw) == []


def test_the_channel_goes_by_the_database() -> None:
    """Publishing knows no databases; kombu writes the number into the name."""
    assert channel_of(3) == "/3.celery.pidbox"


def test_a_body_that_is_not_in_base64_is_read() -> None:
    """As a client of another language may write it."""
    body = json.dumps({"method": "revoke", "arguments": {"task_id": "a"}})
    assert revoked_ids(json.dumps({"body": body, "properties": {}}).encode()) == ["a"]
