"""Names of keys: one source for Python, for Lua and for the self-test; what is stored never changes."""

from __future__ import annotations

import re
from importlib import resources
from itertools import chain
from pathlib import Path

import pytest

from tasks.contract import QUEUE_KEY_FAMILIES, QUEUE_KEYS, lists_read_as, queue_lists
from worker.store.keys import TABLE, KeyFamily, KeyNames, lua_lists, lua_lists_read_as
from worker.store.replies import CHECKS
from worker.store.sources import source

STORE = Path(str(resources.files("worker.store")))
LUA = {path.name: path.read_text("utf-8") for path in STORE.joinpath("lua").iterdir()}

STORED = {
    "job": "job:x", "unacked": "unacked:x", "workers": "workers", "identities": "homes",
    "last_polls": "pulses", "troubles": "troubles", "routes": "routes", "refused": "refused",
    "sending": "sending", "slot_waiters": "slots:waiting", "slot_asks": "slots:asked", "wake": "wake:x",
    "delayed": "waiting", "delayed_messages": "waiting:messages", "backlogs": "sidings",
    "backlog": "siding:x", "unfinished": "unfinished", "refusing": "refusing", "dead_letters": "shelf:x",
    "dead_letter_messages": "shelf:messages", "dead_letter_results": "shelf:results",
    "decisions": "decisions", "malformed": "malformed", "counters": "counters", "breaker": "brake",
    "adaptive_rate": "pace", "rate": "rate", "workflow_rate": "rate:x", "paused": "paused",
    "clock": "clock", "refusals": "refusals", "descriptions": "descriptions", "workflows": "workflows",
    "batch": "batch:x", "batch_names": "batches:known", "batch_events": "batches", "cancels": "cancels",
    "dedupe": "dedupe:x", "event": "event:x", "debounce": "debounce:x", "event_problems": "events:problems",
    "forwards": "forwards", "forward_state": "forward:state:x", "forward_lease": "forward:lease:x",
    "forward_retries": "forward:retries:x", "forward_failed": "forward:failed:x",
    "forward_replays": "forward:replays:x",
    "task": "task:x", "open_tasks": "tasks:open", "tasks_accepted": "tasks:accepted",
    "unstored_tasks": "tasks:unstored", "task_durations": "tasks:durations", "query_rate": "tasks:rate",
    "task_deadline": "tasks:deadline", "task_troubles": "tasks:troubles",
    "shops": "shops", "metrics": "metrics", "history": "history",
}  # fmt: skip
"""As workers of earlier versions have them: they share one Redis with these."""


def test_what_is_stored_keeps_its_name() -> None:
    """Whatever it is called in the code."""
    keys = KeyNames("queue", "results")
    named = {name: getattr(keys, name) for name in TABLE}
    made = {name: key("x") if isinstance(TABLE[name], KeyFamily) else key for name, key in named.items()}
    assert made == {name: f"queue:{stored}" for name, stored in STORED.items()}


def test_producers_know_the_names_that_are_taken() -> None:
    """They have a list of their own, for they do not import the worker."""
    families = {f"{key.stored}:" for key in TABLE.values() if isinstance(key, KeyFamily)}
    assert set(QUEUE_KEY_FAMILIES) == families
    assert {key.stored for key in TABLE.values() if not isinstance(key, KeyFamily)} == QUEUE_KEYS


def test_the_keys_of_a_queue_are_told_from_those_of_another() -> None:
    """Whose name may begin like its own."""
    ours, other = KeyNames("aigc", "results"), KeyNames("aigc:staging", "results")
    for keys, stranger in ((ours, other), (other, ours)):
        names = [*keys.lists, *(f"{keys.queue}:{stored}" for stored in STORED.values())]
        assert all(keys.has(name) and not stranger.has(name) for name in names)
    assert ours.has("aigc:dedupe:x")
    assert not any(ours.has(name) for name in ("results", "aigc:", "aigc:other", "aigcs", "aigc2:job:x"))


@pytest.mark.parametrize("name", LUA)
def test_no_script_has_the_name_of_a_key_in_it(name: str) -> None:
    """It would have to be kept the same in two places."""
    code = re.sub(r"--.*", "", LUA[name])
    strings = set(re.findall(r"'([^']*)'", code))
    assert {string for string in strings if string.startswith(":") or string.endswith(":")} == set()
    assert "queue ..." not in code
    assert not re.search(r"\bqueue\b", code)


@pytest.mark.parametrize("path", [*STORE.glob("*.py")], ids=lambda path: path.name)
def test_no_module_makes_the_name_of_a_key_by_itself(path: Path) -> None:
    """All of them come from `KeyNames`."""
    if path.name != "keys.py":
        assert not re.search(r"queue\}:", path.read_text("utf-8").replace('f"{keys.queue}:{stored}"', ""))


@pytest.mark.parametrize("name", CHECKS)
def test_each_script_says_what_it_takes_and_gives(name: str) -> None:
    """Its keys, its arguments and its reply."""
    head = LUA[f"{name}.lua"].partition("--#include")[0]
    assert all(re.search(rf"^-- {word}\b", head, re.MULTILINE) for word in ("KEYS", "ARGV", "Returns"))


def test_a_script_that_names_no_key_of_the_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is loaded, not when it runs."""
    monkeypatch.setattr("worker.store.sources._with_includes", lambda _: "return keys.of_nobody")
    with pytest.raises(KeyError, match="of_nobody"):
        source("not loaded before")


def test_every_script_is_there_and_has_an_answer_to_be_checked() -> None:
    """None is forgotten in either place."""
    assert {name.removesuffix(".lua") for name in LUA if name[0] != "_"} == set(CHECKS)


def named_in(lua: str) -> tuple[str, ...]:
    """The lists that are named in a piece of Lua."""
    parts = re.findall(r"queue \.\. '([^']*)'", lua)
    return tuple(re.sub(r"\\(\d{3})", lambda code: chr(int(code[1])), part) for part in parts)


def test_lua_has_the_lists_of_the_contract() -> None:
    """In their order, whatever characters are in their names."""
    assert named_in(lua_lists()) == queue_lists("")
    read, further = lua_lists_read_as().splitlines()
    assert named_in(read) == tuple(chain.from_iterable(lists_read_as("")))
    assert set(named_in(further)) == set(named_in(read)) - set(queue_lists(""))


def test_a_lists_place_never_changes() -> None:
    """Earlier versions write a message's list down as its place among these."""
    assert queue_lists("q") == ("q.high", "q", "q\x06\x163", "q\x06\x166", "q\x06\x169", "q.low")


def test_all_ten_steps_of_each_queue_are_read() -> None:
    """Each once, in the turn of the list that it is put back to."""
    read = lists_read_as("q")
    assert [home in group for home, group in zip(queue_lists("q"), read, strict=True)] == [True] * 6
    steps = ["", *(f"\x06\x16{step}" for step in range(1, 10))]
    everything = [f"q{name}{step}" for name in (".high", "", ".low") for step in steps]
    assert sorted(chain.from_iterable(read)) == sorted(everything)
