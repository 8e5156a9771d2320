"""Reading messages off the queue: ours whole, anything else a `Malformed`, never another exception."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contract import BATCH_TASK_NAME, ENQUEUED_AT_HEADER, REFUSAL_HEADER, TASK_NAME
from tasks.envelope import Job, encode, encode_batch
from worker.domain.message import Malformed, parse

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(st.characters(codec=None), max_size=5), json_values, max_size=4)
STAMP = 1_795_998_483_774
PARTS = (
    ("headers",), ("properties",), ("body",), ("content-type",), ("content-encoding",), ("headers", "id"),
    ("headers", "task"), ("headers", "eta"), ("headers", "expires"), ("headers", ENQUEUED_AT_HEADER),
    ("properties", "body_encoding"), ("properties", "delivery_tag"), ("properties", "delivery_info"),
)  # fmt: skip


def good(**headers: Any) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(encode(Job("an-id", {"a": 1}), "q"))
    whole["headers"].update(headers)
    return whole


@given(objects, objects, st.booleans())
def test_a_job_comes_back_as_it_was_sent(
    payload: dict[str, Any], metadata: dict[str, Any], unlisted: bool
) -> None:
    """What a producer encodes is what the worker reads, to the character."""
    if "nan" in repr((payload, metadata)).lower() or "inf" in repr((payload, metadata)).lower():
        return
    message = parse(encode(Job("an-id", payload, metadata, unlisted, STAMP), "q"), "owner/1.0")
    options = ({"metadata": metadata} if metadata else {}) | ({"unlisted": True} if unlisted else {})
    assert message.arguments == ([payload], options, {})
    assert (message.job_id, message.task, message.jobs, message.due_s) == ("an-id", TASK_NAME, 1, None)
    assert message.headers[ENQUEUED_AT_HEADER] == STAMP


@given(st.integers(1, 60))
def test_a_batch_says_how_many_jobs_it_carries(count: int) -> None:
    """The count is known before the jobs are."""
    raw = encode_batch([Job(str(n), {"n": n}) for n in range(count)], "q", "a-batch")
    message = parse(raw, "owner/1.0")
    assert (message.job_id, message.task, message.jobs) == ("a-batch", BATCH_TASK_NAME, count)


def test_a_message_is_plain_unless_something_is_linked_to_it() -> None:
    """Celery has to see to what is linked to a job, and to nothing else."""
    linked = good()
    linked["body"] = base64.b64encode(
        json.dumps([[{}], {}, {"callbacks": [{"task": "next"}]}]).encode()
    ).decode()
    batch = encode_batch([Job("1", {}), Job("2", {})], "q", "a-batch")
    raw = [json.dumps(good()).encode(), json.dumps(linked).encode(), batch]
    assert [parse(each, "owner/1.0").plain for each in raw] == [True, False, True]


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_malformed(raw: bytes) -> None:
    """No bytes make it raise another error, and the reason is short enough for a list of reasons."""
    with pytest.raises(Malformed) as error:
        parse(raw, "owner/1.0")
    assert 0 < len(str(error.value)) <= 250


@given(st.sampled_from(PARTS), json_values)
def test_a_hostile_part_is_harmless_or_malformed(path: tuple[str, ...], value: Any) -> None:
    """Each part of a good message replaced by anything: read or refused, and what is read is well-typed."""
    whole = good()
    *parents, last = path
    place = whole
    for name in parents:
        place = place[name]
    place[last] = value
    try:
        message = parse(json.dumps(whole).encode(), "owner/1.0")
    except Malformed:
        return
    assert isinstance(message.job_id, str)
    assert message.due_s is None or isinstance(message.due_s, float)
    assert message.for_kombu("q")["properties"]["delivery_tag"] == "owner/1.0"


@given(st.text(st.characters(codec=None)) | st.binary().map(lambda raw: base64.b64encode(raw).decode()))
def test_a_hostile_body_is_malformed(body: str) -> None:
    """A body that is not [args, kwargs, embed] is refused, encoded or plain."""
    for encoding in ("base64", None, "utf-8"):
        whole = good() | {"body": body}
        whole["properties"]["body_encoding"] = encoding
        with pytest.raises(Malformed, match="body"):
            parse(json.dumps(whole).encode(), "owner/1.0")


@given(
    st.datetimes(timezones=st.none() | st.just(UTC) | st.just(timezone(timedelta(hours=-11, minutes=-30))))
)
def test_an_eta_is_read_in_its_time_zone(eta: datetime) -> None:
    """Celery's ISO times give seconds since the epoch; one without a zone is UTC."""
    message = parse(json.dumps(good(eta=eta.isoformat())).encode(), "owner/1.0")
    aware = eta if eta.tzinfo else eta.replace(tzinfo=UTC)
    assert message.due_s == aware.timestamp()


@given(st.text() | st.integers() | st.none())
def test_an_eta_that_is_none_is_now(eta: Any) -> None:
    """A job is not refused for a time that nobody can read."""
    assert isinstance(parse(json.dumps(good(eta=eta)).encode(), "o/1.0").due_s, float | None)


def test_only_what_is_ours_is_handed_on() -> None:
    """Celery never sees the headers that would make it wait, expire, revoke or limit."""
    hostile = good(eta=None, expires="2000-01-01T00:00:00", timelimit=[1, 1], retries=5, group="g", stamps={})
    headers = parse(json.dumps(hostile).encode(), "o/1.0").headers
    assert set(headers) == {"id", "task", "root_id", "argsrepr", "kwargsrepr", ENQUEUED_AT_HEADER}


def test_expires_is_read() -> None:
    """`submit(..., expires=…)` is offered to producers, so the worker has to know of it."""
    message = parse(json.dumps(good(expires="2030-01-01T00:00:00+00:00")).encode(), "o/1.0")
    assert message.expires_s == datetime(2030, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("name", ["callbacks", "errbacks", "chain", "chord"])
def test_what_is_linked_must_be_of_its_type(name: str) -> None:
    """What Celery would stumble over when the job has ended is refused before it begins, by its name."""
    whole = good() | {"body": base64.b64encode(json.dumps([[{}], {}, {name: 7}]).encode()).decode()}
    with pytest.raises(Malformed, match=f"embed.{name}"):
        parse(json.dumps(whole).encode(), "owner/1.0")


@pytest.mark.parametrize("body", ["[{}, {}, {}]", "[[], [], {}]", "[[], {}, []]"])
def test_the_parts_of_a_body_have_their_types(body: str) -> None:
    """An array, an object and an object, and nothing else that has three parts."""
    whole = good() | {"body": base64.b64encode(body.encode()).decode()}
    with pytest.raises(Malformed, match="an array, an object and an object"):
        parse(json.dumps(whole).encode(), "owner/1.0")


@pytest.mark.parametrize("element", [17, {}, {"task": 1}, None])
def test_what_is_linked_must_be_signatures(element: Any) -> None:
    """Celery would end in a traceback at the job's end."""
    text = json.dumps([[], {}, {"callbacks": [element]}])
    with pytest.raises(Malformed, match=r"callbacks\[0\] must be a Celery signature"):
        parse(json.dumps(good() | {"body": body_of(text)}).encode(), "tag")


def test_a_refused_message_says_why_in_its_headers() -> None:
    """None of its jobs may be sent, for a reason that is not in the message itself."""
    message = parse(json.dumps(good()).encode(), "tag")
    assert message.refused("too late").headers[REFUSAL_HEADER] == "too late"


def test_a_batch_without_jobs_is_malformed() -> None:
    """There is nothing in it that could end."""
    whole = json.loads(encode_batch([Job("1", {})], "q", "a-batch"))
    whole["body"] = base64.b64encode(b"[[[]], {}, {}]").decode()
    with pytest.raises(Malformed, match="at least one job"):
        parse(json.dumps(whole).encode(), "owner/1.0")


@pytest.mark.parametrize(
    ("stamp", "eta", "known"),
    [
        (STAMP, None, STAMP),
        (STAMP, "2000-01-01T00:00:00+00:00", STAMP),
        (STAMP, "2050-01-01T00:00:00+00:00", 2_524_608_000_000),
        (None, "2050-01-01T00:00:00+00:00", None),
        (None, None, None),
    ],
)
def test_the_deadline_counts_from_the_later_of_stamp_and_eta(
    stamp: int | None, eta: str | None, known: int | None
) -> None:
    """A job for next week has not waited before; without a stamp its first claim is the beginning."""
    message = parse(json.dumps(good(eta=eta, **{ENQUEUED_AT_HEADER: stamp})).encode(), "o/1.0")
    assert (message.headers[ENQUEUED_AT_HEADER], message.remark) == (known, "")


@pytest.mark.parametrize(
    "stamp",
    [STAMP // 1000, STAMP * 1000, STAMP * 10**6, 0, -1, 10**400, float(STAMP), str(STAMP), True, [STAMP]],
)
def test_a_stamp_that_cannot_be_right_is_taken_for_none_and_said(stamp: Any) -> None:
    """Seconds, micro- and nanoseconds, and what is no number: no job is ended for that."""
    message = parse(json.dumps(good(**{ENQUEUED_AT_HEADER: stamp})).encode(), "o/1.0")
    assert message.headers[ENQUEUED_AT_HEADER] is None
    assert message.remark.startswith("aigc-enqueued-ms must be milliseconds since the epoch")


def body_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


DEEP, DIGITS = "[" * 3000 + "]" * 3000, f"[[{'9' * 5000}], {{}}, {{}}]"
REASONS: dict[str, tuple[Any, str]] = {
    "no JSON": (b"hello", "the message is not JSON: "),
    "no UTF-8": (b'"\xff"', "the message is not JSON: it is not UTF-8"),
    "too deep": (b"[" * 100_000, "the message is nested too deep to be read"),
    "a huge number": (b"9" * 5000, "the message holds a number of thousands of digits"),
    "an array": ([], "the message must be a JSON object, got an array"),
    "a prompt": ("a cat", "the message must be a JSON object, got a string"),
    "no headers": ({}, "headers is missing: not a message of Celery's"),
    "headers null": ({"headers": None, "properties": {}}, "headers must be an object, got null"),
    "no properties": ({"headers": {}}, "properties is missing: not a message of Celery's"),
    "no id, no task": (good() | {"headers": {}}, "headers.id and headers.task are missing"),
    "no id, bad body": ({**good(), "headers": {}, "body": "%"}, "headers.id and headers.task are missing"),
    "properties []": ({"headers": {}, "properties": []}, "properties must be an object, got an array"),
    "no id": (good(id=None), "headers.id must be a string of 1 to 200 printable characters, got null"),
    "no task": (good(task=None), f"headers.task must be {TASK_NAME} or {BATCH_TASK_NAME}, got null"),
    "a misspelt task": (good(task="tasks.submit"), "got 'tasks.submit'"),
    "a pickle": (good() | {"content-type": "application/x-python-serialize"}, "must be application/json"),
    "no body": ({**good(), "body": None}, "body is missing"),
    "a body of JSON": ({**good(), "body": [[], {}, {}]}, "body must be text"),
    "bad base64": ({**good(), "body": "%"}, "body is not base64, as properties.body_encoding says"),
    "body too deep": ({**good(), "body": body_of(DEEP)}, "body is nested too deep to be read"),
    "digits": ({**good(), "body": body_of(DIGITS)}, "body holds a number of thousands"),
    "compressed text": (
        {**good(compression="gzip"), "body": "[[], {}, {}]", "properties": {}},
        "body must be base64 where it is compressed",
    ),
    "body no UTF-8": (
        {**good(), "body": base64.b64encode(b'["\xff"]').decode()}, "body is not JSON: it is not UTF-8"
    ),
    "no triple": ({**good(), "body": body_of("[[], {}]")}, "body must be [args, kwargs, embed]"),
    "not compressed": (good(compression="gzip"), "body is not compressed with gzip, as it says"),
    "who knows how": (
        {**good(compression="x-lz4"), "body": body_of("\x04")}, "(headers.compression is 'x-lz4')"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("message", "reason"), REASONS.values(), ids=REASONS)
def test_reasons_are_an_operators_words(message: Any, reason: str) -> None:
    """They name the part and what it must be, as nobody has to know Python for, and repeat no prompt."""
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    with pytest.raises(Malformed) as error:
        parse(raw, "owner/1.0")
    assert reason in str(error.value)
    assert "Error" not in str(error.value).partition("as it says")[0]


@pytest.mark.parametrize("name", ["application/x-gzip", "zlib"])
def test_a_compressed_body_is_read(name: str) -> None:
    """`task_compression` of a producer's Celery makes no other message of it."""
    body = zlib.compress(json.dumps([[{"a": 1}], {"metadata": {"sku": 1}}, {}]).encode())
    whole = {**good(compression=name), "body": base64.b64encode(body).decode()}
    assert parse(json.dumps(whole).encode(), "o/1.0").arguments == ([{"a": 1}], {"metadata": {"sku": 1}}, {})


def test_protocol_1_is_read() -> None:
    """Where `task_protocol = 1`, the body says what headers say otherwise."""
    body = {
        "task": TASK_NAME, "id": "an-id", "args": [{"a": 1}], "kwargs": {"metadata": {"sku": 1}},
        "eta": "2050-01-01T00:00:00+00:00", "expires": None, "utc": True, "retries": 0, "callbacks": None,
        "errbacks": None, "chord": None, "group": None, "taskset": None, "timelimit": [None, None],
    }  # fmt: skip
    whole = {**good(), "headers": {ENQUEUED_AT_HEADER: STAMP}, "body": body_of(json.dumps(body))}
    message = parse(json.dumps(whole).encode(), "o/1.0")
    assert (message.job_id, message.task, message.plain) == ("an-id", TASK_NAME, True)
    assert message.arguments[:2] == ([{"a": 1}], {"metadata": {"sku": 1}})
    assert message.due_s == datetime(2050, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("changes", "job"),
    [
        ({"task": "tasks.submit_workflw"}, Job("an-id", {"a": 1}, {"sku": 1})),
        ({"compression": "application/x-gzip"}, Job("an-id", {})),
        ({"task": None}, None),
        ({"task": ""}, None),
        ({"task": 7}, None),
        ({"id": ""}, None),
        ({"id": None}, None),
    ],
)
def test_whose_producer_is_to_be_told(changes: dict[str, Any], job: Job | None) -> None:
    """Where an id and a task's name can be read, with what else can be made out."""
    whole = good(**changes) | {"body": body_of('[[{"a": 1}], {"metadata": {"sku": 1}}, {}]')}
    with pytest.raises(Malformed) as error:
        parse(json.dumps(whole).encode(), "owner/1.0")
    assert error.value.job == job
