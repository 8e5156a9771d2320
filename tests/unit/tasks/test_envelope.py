"""Jobs as Celery messages: what is written, and that nothing read can spoil more than itself."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contract import BATCH_TASK_NAME, ENQUEUED_AT_HEADER, REFUSAL_HEADER, TASK_NAME
from tasks.envelope import InvalidJob, Job, encode, encode_batch, jobs_of
from tests.unit.tasks import samples

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def decoded(message: bytes) -> tuple[dict[str, Any], list[Any]]:
    """A message and its body, as a Celery worker reads them."""
    document = json.loads(message)
    return document, json.loads(base64.b64decode(document["body"]))


def delivered(message: bytes) -> list[Job | InvalidJob]:
    """What a worker makes of a message."""
    document, (args, kwargs, _) = decoded(message)
    headers = document["headers"]
    return jobs_of(headers["task"], headers["id"], args, kwargs, headers)


def single(args: object, kwargs: object) -> Job | InvalidJob:
    (job,) = jobs_of(TASK_NAME, "j", args, kwargs, {})
    return job


def test_a_message_is_what_celery_reads() -> None:
    """Content type, body encoding, headers and delivery info are those of Celery's protocol 2."""
    message, body = decoded(encode(Job("j", samples.text_to_image(), {"sku": 1}), "aigc.high"))
    assert body == [[samples.text_to_image()], {"metadata": {"sku": 1}}, {}]
    assert (message["content-type"], message["content-encoding"]) == ("application/json", "utf-8")
    assert message["properties"]["body_encoding"] == "base64"
    assert message["properties"]["delivery_info"] == {"exchange": "", "routing_key": "aigc.high"}
    assert message["headers"]["task"] == TASK_NAME
    assert message["headers"]["id"] == message["headers"]["root_id"] == "j"


def test_the_same_job_twice_has_two_delivery_tags() -> None:
    """kombu keeps unacknowledged messages by tag: one would hide the other."""
    first, second = (decoded(encode(Job("j", {}), "aigc"))[0]["properties"] for _ in range(2))
    assert first["delivery_tag"] != second["delivery_tag"]


def test_no_prompt_stands_outside_the_body() -> None:
    """Headers are logged and shown by monitors; the payload is only in the body."""
    message, _ = decoded(encode(Job("j", samples.text_to_image(), {"note": "a cat"}), "aigc"))
    del message["body"]
    assert "a cat" not in json.dumps(message)


def test_a_job_comes_back_as_it_was_sent() -> None:
    """All of a job survives its message."""
    job = Job("j", samples.image_to_video(), {"sku": "\ud800"}, True, 1_700_000_000_123)
    assert delivered(encode(job, "aigc")) == [job]


def test_a_batch_keeps_each_jobs_own_id_and_options() -> None:
    """Jobs come back in order, all with the time at which the last was queued."""
    jobs = [
        Job("a", samples.text_to_image(), {"n": 1}, False, 5),
        Job("b", {"workflow": "NEW"}, {}, True, 6),
    ]
    message = encode_batch(jobs, "aigc", "batch-1")
    assert decoded(message)[0]["headers"]["id"] == "batch-1"
    assert delivered(message) == [replace(jobs[0], enqueued_ms=6), jobs[1]]


@pytest.mark.parametrize("stamp", [None, "5", 5.0, True, [5]])
def test_a_strange_enqueue_time_counts_as_unknown(stamp: object) -> None:
    """A foreign producer's header cannot harm the job."""
    (job,) = jobs_of(TASK_NAME, "j", [{}], {}, {ENQUEUED_AT_HEADER: stamp})
    assert job == Job("j", {})


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ([], {}, "args"),
        ([{}, {}], {}, "args"),
        (None, {}, "args"),
        ([{}], None, "kwargs"),
        ([{}], [], "kwargs"),
        (["text"], {}, "payload"),
        ([None], {}, "payload"),
        ([{}], {"metadata": "text"}, "metadata"),
        ([{}], {"metadata": None}, "metadata"),
        ([{}], {"metadata": {"x": "y" * 4096}}, "metadata"),
        ([{}], {"metadata": {"x": float("nan")}}, "metadata"),
        ([{}], {"unlisted": 1}, "unlisted"),
        ([{}], {"unlisted": "true"}, "unlisted"),
        ([{}], {"meta": {}}, "meta"),
        ([{}], {"payload": {}}, "payload"),
    ],
)
def test_a_message_of_the_wrong_shape_says_what_is_wrong(args: object, kwargs: object, named: str) -> None:
    """It becomes a bad job whose reason names the field, never an exception."""
    job = single(args, kwargs)
    assert isinstance(job, InvalidJob)
    assert job.id == "j"
    assert named in job.reason


def test_a_bad_job_keeps_what_could_be_made_out() -> None:
    """Its result can still name the workflow and echo the metadata."""
    job = single([samples.text_to_image()], {"metadata": {"sku": 1}, "unlisted": "no"})
    assert isinstance(job, InvalidJob)
    assert (job.payload, job.metadata) == (samples.text_to_image(), {"sku": 1})


def test_metadata_is_counted_in_bytes_of_compact_utf8() -> None:
    """4096 bytes pass, 4097 do not, whatever the alphabet."""
    frame = len('{"x":""}')
    assert isinstance(single([{}], {"metadata": {"x": "é" * ((4096 - frame) // 2)}}), Job)
    assert isinstance(single([{}], {"metadata": {"x": "é" * ((4096 - frame) // 2) + "a"}}), InvalidJob)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "text",
        {},
        {"id": 5, "payload": {}},
        {"id": "", "payload": {}},
        {"id": "x" * 201, "payload": {}},
        {"id": "new\nline", "payload": {}},
        {"id": "half \ud800", "payload": {}},
        {"id": "b"},
        {"id": "b", "payload": []},
        {"id": "b", "payload": {}, "extra one": 1},
        {"id": "b", "payload": {}, "metadata": 1},
        {"id": "b", "payload": {}, "unlisted": None},
    ],
)
def test_one_bad_entry_does_not_spoil_its_batch(entry: object) -> None:
    """Its neighbours are good jobs; it has an id that is the same at each delivery."""
    entries = [{"id": "a", "payload": {}}, entry, {"id": "c", "payload": {}}]
    jobs = jobs_of(BATCH_TASK_NAME, "m", [entries], {}, {})
    assert (jobs[0], jobs[2]) == (Job("a", {}), Job("c", {}))
    assert isinstance(jobs[1], InvalidJob)
    assert jobs[1].id in ("b", "m:1")
    assert jobs_of(BATCH_TASK_NAME, "m", [entries], {}, {}) == jobs


@pytest.mark.parametrize("args", [[], [{}], ["text"], [[], []]])
def test_a_batch_that_is_no_list_is_one_bad_job(args: object) -> None:
    """It is reported under the message's own id."""
    (job,) = jobs_of(BATCH_TASK_NAME, "m", args, {}, {})
    assert isinstance(job, InvalidJob)
    assert job.id == "m"


@given(st.sampled_from([TASK_NAME, BATCH_TASK_NAME]), ANY_JSON, ANY_JSON, st.booleans())
def test_reading_never_raises(task: str, args: Any, kwargs: Any, wrapped: bool) -> None:
    """Any JSON for arguments gives jobs, good or bad."""
    for job in jobs_of(task, "m", [args] if wrapped else args, kwargs, {}):
        assert isinstance(job, Job | InvalidJob)


@given(
    st.lists(
        st.tuples(st.dictionaries(st.text(), st.text(), max_size=3), st.booleans()), min_size=1, max_size=5
    )
)
def test_every_batch_comes_back_as_it_was_sent(items: list[tuple[dict[str, str], bool]]) -> None:
    """Any text survives, and a message is pure ASCII."""
    jobs = [Job(str(index), dict(payload), {}, unlisted) for index, (payload, unlisted) in enumerate(items)]
    message = encode_batch(jobs, "aigc", "m")
    assert message.isascii()
    assert delivered(message) == jobs


def test_an_argument_of_a_later_version_stays_with_its_job() -> None:
    """Alone or in a batch, and beside the arguments that are known; encoded again it is still there."""
    kwargs = {"metadata": {"sku": 1}, "tenant": "north"}
    job = single([{}], kwargs)
    assert job == Job("j", {}, {"sku": 1}, newer={"tenant": "north"})
    assert delivered(encode(job, "aigc")) == [job]
    entries = [{"id": "a", "payload": {}, "tenant": "south"}, {"id": "b", "payload": {}}]
    first, second = jobs_of(BATCH_TASK_NAME, "m", [entries], {"tenant": "north", "region": "n"}, {})
    assert first == Job("a", {}, newer={"tenant": "south", "region": "n"})
    assert second == Job("b", {}, newer={"tenant": "north", "region": "n"})


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("metdata", "did you mean metadata"),
        ("Metadata", "did you mean metadata"),
        ("unlist", "did you mean unlisted"),
        ("retries", "'retries': no such argument"),
        ("countdown", "'countdown': no such argument"),
        ("x y", "no such argument"),
        ("", "no such argument"),
        ("x" * 41, "no such argument"),
        ("TENANT", "no such argument"),
    ],
)
def test_an_argument_of_no_version_is_refused(name: str, named: str) -> None:
    """A misspelt one is named with what was meant; nobody would ever come who knows it."""
    for job in (
        single([{}], {name: 1}),
        *jobs_of(BATCH_TASK_NAME, "m", [[{"id": "j", "payload": {}, name: 1}]], {}, {}),
    ):
        assert isinstance(job, InvalidJob)
        assert named in job.reason


@pytest.mark.parametrize(
    "value", [{"x": "y" * 5000}, [[[]]] * 2000, float("nan"), json.loads("[" * 90 + "]" * 90)]
)
def test_an_argument_of_a_later_version_has_its_bounds(value: Any) -> None:
    """What could not be written down again is refused at once."""
    assert isinstance(single([{}], {"tenant": value}), InvalidJob)


def test_a_worker_may_refuse_a_whole_message() -> None:
    """Each of its jobs is bad for that reason, and keeps its own id, payload and metadata."""
    entries = [{"id": "a", "payload": {"x": 1}, "metadata": {"sku": 1}}, {"id": "b", "payload": {}}]
    jobs = jobs_of(BATCH_TASK_NAME, "m", [entries], {}, {REFUSAL_HEADER: "eta: too far"})
    assert jobs == [InvalidJob("a", "eta: too far", {"x": 1}, {"sku": 1}), InvalidJob("b", "eta: too far")]


def test_a_job_says_which_batch_it_belongs_to() -> None:
    """Alone or with others, where what an entry says goes before what its message says of all."""
    job = single([{}], {"batch": "nightly:1"})
    assert job == Job("j", {}, batch="nightly:1")
    assert delivered(encode(job, "aigc")) == [job]
    many = [Job("a", {}, batch="x"), Job("b", {})]
    assert delivered(encode_batch(many, "aigc", "m")) == many
    entries = [{"id": "a", "payload": {}, "batch": "x"}, {"id": "b", "payload": {}}]
    first, second = jobs_of(BATCH_TASK_NAME, "m", [entries], {"batch": "y"}, {})
    assert (first.batch, second.batch) == ("x", "y")


@pytest.mark.parametrize("batch", ["", "x" * 101, "a b", "a\nb", "a\u00a0b", 5, None, ["a"]])
def test_a_batch_that_cannot_be_called_so_is_refused(batch: object) -> None:
    """Its job ends, for it would else be missing where its producer looks for it."""
    job = single([{}], {"batch": batch})
    assert isinstance(job, InvalidJob)
    assert job.reason.startswith("batch: must be a string of 1 to 100 printable characters without blanks")
    assert job.batch is None


def test_a_job_that_is_refused_belongs_to_its_batch() -> None:
    """It counts there as rejected."""
    refused = [single([3], {"batch": "x"}), single([{}], {"batch": "x", "metadata": 3})]
    refused += [single([{}], {"batch": "x", "unlisted": 3}), single([{}], {"batch": "x", "prompt": 3})]
    refused += jobs_of(TASK_NAME, "j", [{}], {"batch": "x"}, {REFUSAL_HEADER: "no"})
    assert [type(job) for job in refused] == [InvalidJob] * 5
    assert [job.batch for job in refused] == ["x"] * 5
