"""The result's JSON is the contract's, to the letter."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.result import NewerResult, Result, of_queue

DOCUMENT: dict[str, Any] = {
    "schema": 1,
    "jobId": "j",
    "status": "submitted",
    "taskId": "t",
    "workflow": "TEXT2IMAGE",
    "version": "1.0.0",
    "attempts": 2,
    "requestId": "r",
    "errorCode": None,
    "errorMsg": None,
    "possibleDuplicate": False,
    "finishedAt": "2026-11-22T22:31:33.123Z",
    "metadata": {"sku": "A-1"},
}
RESULTS = st.builds(
    Result,
    schema=st.just(1),
    metadata=st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=3),
)


def test_json_has_the_contracts_keys_in_its_order_and_no_blanks() -> None:
    """One result, byte for byte."""
    text = json.dumps(DOCUMENT, separators=(",", ":"))
    assert Result.from_json(text).to_json() == text


def test_fields_have_their_own_names() -> None:
    """Each key of the contract is a field."""
    result = Result.from_json(json.dumps(DOCUMENT))
    assert dataclasses.astuple(result) == (
        *("j", "submitted", "t", "TEXT2IMAGE", "1.0.0", 2, "r", None, None, False),
        *("2026-11-22T22:31:33.123Z", {"sku": "A-1"}, 1, "", "", ""),
    )


def test_bytes_and_keys_of_a_later_version_are_read() -> None:
    """Redis gives bytes; a key that is not known is passed over."""
    assert Result.from_json(json.dumps({**DOCUMENT, "later": 1}).encode()) == Result.from_json(
        json.dumps(DOCUMENT)
    )


@pytest.mark.parametrize("key", DOCUMENT)
def test_a_missing_or_wrong_value_is_refused_by_name(key: str) -> None:
    """No field may be absent or of another type."""
    rest = {name: value for name, value in DOCUMENT.items() if name != key}
    for document in (rest, {**DOCUMENT, key: ["wrong"]}):
        with pytest.raises(ValueError, match=key):
            Result.from_json(json.dumps(document))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        b"\xff",
        "[" * 100_000,
        json.dumps({**DOCUMENT, "status": "done"}),
        json.dumps({**DOCUMENT, "schema": 2}),
        json.dumps({**DOCUMENT, "attempts": True}),
        json.dumps({**DOCUMENT, "possibleDuplicate": 0}),
    ],
)
def test_what_is_no_result_is_a_value_error(text: str | bytes) -> None:
    """Junk of any kind raises ValueError, nothing else."""
    with pytest.raises(ValueError, match=r"."):
        Result.from_json(text)


@given(RESULTS)
def test_every_result_survives_its_json(result: Result) -> None:
    """Any text, half of a surrogate pair included, comes back as it was; the JSON is pure ASCII."""
    text = result.to_json()
    assert text.isascii()
    assert Result.from_json(text) == result


@pytest.mark.parametrize("later", [{"schema": 2}, {"schema": 10**30}, {"status": "cancelled-later"}])
def test_a_later_versions_result_is_told_from_junk(later: dict[str, Any]) -> None:
    """Consumers leave it for whom it is meant: a later schema, whatever its other fields, or status."""
    with pytest.raises(NewerResult):
        Result.from_json(json.dumps({**DOCUMENT, **later}))
    if "schema" in later:
        with pytest.raises(NewerResult):
            Result.from_json(json.dumps(later))


@pytest.mark.parametrize("schema", [0, -1, True, 2.0, "2", None, [2]])
def test_what_has_no_schema_of_ours_is_junk(schema: object) -> None:
    """Only a whole number above this version's is a later schema."""
    with pytest.raises(ValueError, match="schema") as error:
        Result.from_json(json.dumps({**DOCUMENT, "schema": schema}))
    assert not isinstance(error.value, NewerResult)


def test_it_may_say_which_queue_it_is_of() -> None:
    """As the last key, and absent in what an older worker wrote; told from outside, it is the same text."""
    plain = json.dumps(DOCUMENT, separators=(",", ":"))
    text = of_queue(plain, 'a"b')
    assert json.loads(text) == DOCUMENT | {"queue": 'a"b'}
    assert Result.from_json(text) == dataclasses.replace(Result.from_json(plain), queue='a"b')
    assert Result.from_json(text).to_json() == text
    with pytest.raises(ValueError, match="queue is of the wrong type"):
        Result.from_json(plain[:-1] + ',"queue":7}')
