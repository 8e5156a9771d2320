"""Jobs from a file: the three forms, and what is no job."""

from __future__ import annotations

import io
import json
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import InvalidPayload
from worker.cli.jobs import LINE_MAX_BYTES, Unreadable, content_id, read, submission
from worker.cli.pipe import Pipe

PAYLOAD = {
    "workflow": "TEXT2IMAGE",
    "version": "1.0.0",
    "algoInput": {"inputText": "a", "width": 1, "height": 2},
}
OBJECTS = st.dictionaries(st.text(), st.none() | st.integers() | st.text(), min_size=1)


def found(content: bytes) -> list[tuple[str, Any]]:
    return [
        (place, str(value) if isinstance(value, Unreadable) else value)
        for place, value in read(io.BytesIO(content))
    ]


@given(st.lists(OBJECTS), st.sampled_from([b"\n", b"\r\n", b"\n\n \n"]), st.booleans())
def test_ndjson_gives_each_line(values: list[dict[str, Any]], newline: bytes, bom: bool) -> None:
    """Blank lines, CRLF and a byte order mark are nothing; line numbers count them all the same."""
    content = newline.join(json.dumps(value).encode() for value in values)
    assert [value for _, value in found((b"\xef\xbb\xbf" if bom else b"") + content)] == values


@given(st.lists(OBJECTS), st.sampled_from([None, 2]))
def test_an_array_gives_each_item(values: list[dict[str, Any]], indent: int | None) -> None:
    """Items are counted from 1."""
    expected = [(f"item {index}", value) for index, value in enumerate(values, 1)]
    assert found(b"\n " + json.dumps(values, indent=indent).encode()) == expected


@given(OBJECTS, st.sampled_from([None, 0, 2]))
def test_one_object_may_be_spread_over_lines(value: dict[str, Any], indent: int | None) -> None:
    """A single object is found pretty-printed too."""
    assert found(json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")) == [
        ("line 1", value)
    ]


def test_an_array_on_one_line_may_be_longer_than_a_job() -> None:
    """The bound is for a line of NDJSON."""
    item = {"text": "words and " * 1000}
    content = json.dumps([item] * (LINE_MAX_BYTES // 5000)).encode()
    assert len(content) > LINE_MAX_BYTES
    assert all(value == item for _, value in found(content))


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf\n"])
def test_an_empty_file_has_no_jobs(content: bytes) -> None:
    """Neither has one of blank lines."""
    assert found(content) == []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"a": 1', "not JSON"),
        (b'{"a": "x', "not JSON"),
        (b"nonsense", "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8: byte 0xff (byte 8)"),
        (b'{"a":' * 100_000, "not JSON that"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON that"),
        (b'{"a": "' + b"x" * LINE_MAX_BYTES + b'"}', "too long"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_bad_line_does_not_stop_the_rest(bad: bytes, reason: str, first: bool) -> None:
    """Its number and what is wrong are told, the lines around it are read, also where it is the first."""
    lines = [bad, b'{"b": 1}'] if first else [b'{"b": 1}', bad]
    by_place = dict(found(b"\n".join([*lines, b'{"c": 2}'])))
    assert reason in by_place["line 1" if first else "line 2"]
    assert by_place["line 2" if first else "line 1"] == {"b": 1}
    assert by_place["line 3"] == {"c": 2}


def test_nothing_waits_behind_a_first_line_that_is_cut_off() -> None:
    """It could be the beginning of a longer text; the second line shows that it is none."""
    reading, writing = os.pipe()
    os.write(writing, b'{"workflow": "TEXT2IMAGE",\n{"b": 1}\n')
    with os.fdopen(reading, "rb") as file:
        places = read(Pipe(file))
        assert isinstance(next(places)[1], Unreadable)
        assert next(places) == ("line 2", {"b": 1})
        os.close(writing)
        assert list(places) == []


def test_a_broken_array_is_refused_as_a_whole() -> None:
    """Its items cannot be told apart; the place of the fault is named."""
    with pytest.raises(Unreadable, match=r"line 4, column 7"):
        list(read(io.BytesIO(b'\n[\n{"a": 1},\n{"b": }\n]')))


@given(st.binary())
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """No content raises anything but Unreadable."""
    try:
        places = [place for place, _ in read(io.BytesIO(content))]
    except Unreadable:
        places = []
    assert len(set(places)) == len(places)


def test_a_payload_or_one_in_a_wrapping() -> None:
    """Both forms give the same payload, untouched; a wrapping adds what it says, defaults fill in."""
    bare = submission(PAYLOAD, metadata={"d": 1}, unlisted=False)
    assert (bare.payload, bare.job_id, bare.metadata) == (PAYLOAD, None, {"d": 1})
    wrapped = submission(
        {"payload": PAYLOAD, "id": "j", "metadata": {"m": 2}}, metadata={"d": 1}, unlisted=False
    )
    assert (wrapped.payload, wrapped.job_id, wrapped.metadata) == (PAYLOAD, "j", {"m": 2})
    new = {"workflow": "NEW", "version": "2", "algoInput": {}}
    assert submission({"payload": new, "unlisted": True}, metadata=None, unlisted=False).unlisted
    assert submission(new, metadata=None, unlisted=True).payload == new


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Unreadable("not JSON"), "not JSON"),
        ("text", "must be a JSON object"),
        ({"payload": PAYLOAD, "priority": 1}, "unknown field 'priority'"),
        ({"payload": PAYLOAD, "unlisted": 1}, "unlisted"),
        ({"payload": PAYLOAD, "id": 5}, "id"),
        ({"payload": PAYLOAD, "metadata": [1]}, "metadata"),
        ({"payload": [PAYLOAD]}, "payload"),
        ({"workflow": "TEXT2IMAGES", "version": "1", "algoInput": {}}, "TEXT2IMAGE"),
        (PAYLOAD | {"algoInput": {"inputText": "a", "width": 0, "height": 1}}, "algoInput.width"),
        (
            PAYLOAD | {"algoInput": {"inputText": float("nan"), "width": 1, "height": 1}},
            "algoInput.inputText",
        ),
    ],
)
def test_what_may_not_be_queued_is_refused_with_its_reason(value: Any, reason: str) -> None:
    """Each wrong field is named."""
    with pytest.raises((Unreadable, InvalidPayload)) as caught:
        submission(value, metadata=None, unlisted=False)
    assert reason in str(caught.value)


def test_the_content_of_a_job_is_an_id() -> None:
    """The order of fields is no difference; another value, other metadata and another type are."""
    turned = dict(reversed(PAYLOAD.items()))
    other = PAYLOAD | {"algoInput": {"inputText": "b", "width": 1, "height": 2}}

    def named(payload: dict[str, Any], **metadata: Any) -> str:
        return content_id(submission(payload, metadata=metadata, unlisted=False))

    assert named(PAYLOAD, a=1, b=2) == named(turned, b=2, a=1)
    assert len({named(PAYLOAD), named(other), named(PAYLOAD, a=1), named(PAYLOAD, a="1")}) == 4
