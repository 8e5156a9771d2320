"""Which workflows there were jobs of, and which name may be misspelt."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
import redis

from worker.store.keys import KeyNames
from worker.store.workflows import MOST, SeenWorkflows, misspelt

KEYS = KeyNames("aigc", "aigc:results")


def test_each_is_written_down_once() -> None:
    """However many jobs there are; nothing is asked of Redis where none is new."""
    seen, client = SeenWorkflows(), Mock()
    for workflow in ("A", "B", "A"):
        seen.note(workflow)
    seen.record(client, KEYS)
    seen.record(client, KEYS)
    client.sadd.assert_called_once_with(KEYS.workflows, "A", "B")


def test_what_redis_did_not_take_is_written_down_later() -> None:
    """It was away."""
    seen, client = SeenWorkflows(), Mock()
    client.sadd.side_effect = redis.ConnectionError
    seen.note("A")
    with pytest.raises(redis.ConnectionError):
        seen.record(client, KEYS)
    client.sadd.side_effect = None
    seen.record(client, KEYS)
    assert client.sadd.call_count == 2


def test_the_names_of_strangers_do_not_pile_up() -> None:
    """Unlisted workflows may have any name, each job another one."""
    seen, client = SeenWorkflows(), Mock()
    for number in range(MOST + 10):
        seen.note(f"W{number}")
    seen.record(client, KEYS)
    assert len(client.sadd.call_args.args) == 1 + MOST


@pytest.mark.parametrize(
    ("name", "seen", "found"),
    [
        ("TEXT2IMAGE", [], {}),
        ("TEXT2IMG", [], {"TEXT2IMG": "TEXT2IMAGE"}),
        ("image2video", [], {"image2video": "IMAGE2VIDEO"}),
        ("image2video", ["image2video"], {}),
        ("NEW_ONE", ["NEW_ONE"], {}),
        ("NEW_OEN", ["NEW_ONE"], {"NEW_OEN": "NEW_ONE"}),
        ("FOO", [], {"FOO": None}),
    ],
)
def test_the_nearest_name_is_told(name: str, seen: list[str], found: dict[str, str | None]) -> None:
    """Of those that were seen, or that the vendor's page lists; capitals do not matter for that."""
    assert misspelt([name], seen) == found
