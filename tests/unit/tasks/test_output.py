"""The output's JSON is the contract's, to the letter."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.exceptions import AigcError
from tasks.output import NewerOutput, Output

DOCUMENT: dict[str, Any] = {
    "schema": 1,
    "jobId": "j",
    "taskId": "t",
    "status": "succeeded",
    "vendorStatus": "SUCCESS",
    "url": "http://files.example/t.png?Expires=1",
    "file": "file:///pictures/t.png",
    "sha256": "0" * 64,
    "bytes": 67,
    "contentType": "image/png",
    "workflow": "TEXT2IMAGE",
    "version": "1.0.0",
    "finishedAt": "2026-11-22T22:31:33.123Z",
    "metadata": {"sku": "A-1"},
}
NULLS = ("jobId", "vendorStatus", "url", "file", "sha256", "bytes", "contentType", "workflow", "version")
OUTPUTS = st.builds(
    Output,
    schema=st.just(1),
    metadata=st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=3),
)


def test_json_has_the_contracts_keys_in_its_order_and_no_blanks() -> None:
    """One output, byte for byte."""
    text = json.dumps(DOCUMENT, separators=(",", ":"))
    assert Output.from_json(text).to_json() == text


def test_what_is_not_known_is_null() -> None:
    """A task that was bought elsewhere, and lost: no key is left out."""
    document = {**DOCUMENT, "status": "lost", **dict.fromkeys(NULLS), "metadata": {}}
    output = Output.from_json(json.dumps(document))
    assert json.loads(output.to_json()) == document
    assert output == Output(
        *(None, "t", "lost", None, None, None, None, None, None, None, None),
        finished_at="2026-11-22T22:31:33.123Z",
    )


def test_fields_have_their_own_names() -> None:
    """Each key of the contract is a field."""
    output = Output.from_json(json.dumps(DOCUMENT))
    assert dataclasses.astuple(output) == (
        *("j", "t", "succeeded", "SUCCESS", "http://files.example/t.png?Expires=1"),
        *("file:///pictures/t.png", "0" * 64, 67, "image/png", "TEXT2IMAGE", "1.0.0"),
        *("2026-11-22T22:31:33.123Z", {"sku": "A-1"}, 1, "", ""),
    )


def test_bytes_and_keys_of_a_later_version_are_read() -> None:
    """Redis gives bytes; a key that is not known is passed over."""
    later = Output.from_json(json.dumps({**DOCUMENT, "later": 1}).encode())
    assert later == Output.from_json(json.dumps(DOCUMENT))


@pytest.mark.parametrize("key", DOCUMENT)
def test_a_missing_or_wrong_value_is_refused_by_name(key: str) -> None:
    """No field may be absent or of another type."""
    rest = {name: value for name, value in DOCUMENT.items() if name != key}
    for document in (rest, {**DOCUMENT, key: ["wrong"]}):
        with pytest.raises(ValueError, match=f"not an output: .*{key}"):
            Output.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "null", "[]", "{", b"\xff", "[" * 100_000])
def test_what_is_no_output_is_refused(text: str | bytes) -> None:
    """Neither JSON of another shape, nor what is no JSON."""
    with pytest.raises(ValueError, match="not an output") as raised:
        Output.from_json(text)
    assert not isinstance(raised.value, NewerOutput)


@pytest.mark.parametrize("later", [{"schema": 2}, {"status": "expired"}])
def test_one_of_a_later_version_is_told_apart(later: dict[str, Any]) -> None:
    """It is for a later version of this program, and no nonsense."""
    with pytest.raises(NewerOutput, match="an output of") as raised:
        Output.from_json(json.dumps({**DOCUMENT, **later}))
    assert isinstance(raised.value, AigcError)


@given(OUTPUTS)
def test_every_output_comes_back_from_its_json(output: Output) -> None:
    """Written and read, it is the same."""
    text = output.to_json()
    assert text.isascii()
    assert Output.from_json(text) == output
