"""A job's record: one legend of its fields for Python, Lua and the docs."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from tasks.contract import Status
from worker.store.record import ENDED_STATES, FIELDS, STATE_OF, lua_fields, readable
from worker.store.task_record import TASK_FIELDS

ARCHITECTURE = Path(__file__).parents[3] / "docs" / "architecture.md"


def test_the_fields_of_a_record_keep_their_stored_names() -> None:
    """No two have the same, and workers of earlier versions read them."""
    stored = "s n u x r o w e f k k2 d b m p j l y h q z g a c i v t t2"
    assert [stored for stored, _ in FIELDS.values()] == stored.split()


def test_the_docs_have_the_same_legend() -> None:
    """A row for each field: its stored name, its name, what it means."""
    of_jobs, _, of_tasks = ARCHITECTURE.read_text("utf-8").partition("## A task's record")
    for text, fields in ((of_jobs, FIELDS), (of_tasks, TASK_FIELDS)):
        rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*) \|$", text, re.MULTILINE)
        assert rows == [(stored, name, means) for name, (stored, means) in fields.items()]


def test_the_fields_of_a_tasks_record_keep_their_stored_names() -> None:
    """As those of a job's; `tasks.outputs` reads its output by its stored name."""
    stored = "j w v m h i a d x n l s t u g y o f e p q"
    assert [stored for stored, _ in TASK_FIELDS.values()] == stored.split()


def test_a_record_is_read_by_the_names_of_the_legend() -> None:
    """Those that people and the worker have a use for."""
    request_id = uuid.UUID(int=7)
    record = {b"s": b"accepted", b"n": b"2", b"r": request_id.bytes, b"k": b"t-1", b"d": b"1", b"f": b"9"}
    assert readable(record) == {
        "state": "accepted", "attempts": 2, "request_ids": [str(request_id)], "task_id": "t-1",
        "possible_duplicate": True, "owner": None, "enqueued_ms": None, "finished_s": 9,
    }  # fmt: skip
    assert readable({}) == {}


def test_every_status_of_the_contract_ends_a_record() -> None:
    """And Lua knows each of those states for an end."""
    assert set(STATE_OF) == set(Status.__args__)  # type: ignore[attr-defined]
    lua = lua_fields(["state"])
    assert all(f"state == '{state}'" in lua for state in ENDED_STATES)
