"""The JSON Schemas of messages: up to date, and as strict as what checks the messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tasks.batches import BatchEvent
from tasks.output import Output
from tasks.payload import LISTED_NAMES
from tasks.result import Result
from tasks.schemas import documents
from tasks.workflows import KnownWorkflow, known
from tests.unit.tasks import samples
from worker.cli import jobs

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "docs" / "reference" / "schemas"

TIME = "2026-11-22T22:31:33.123Z"
OUTPUT = Output(
    "a",
    "t-1",
    "succeeded",
    "SUCCESS",
    "http://files.example/a.png",
    None,
    None,
    None,
    None,
    "CATVTON",
    "1.0.0",
    TIME,
)
RESULT = Result("a", "submitted", "t-1", "CATVTON", "1.0.0", 1, "r", None, None, False, TIME)


def valid(name: str, message: Any) -> bool:
    """By the schema in docs/, as a user of another language has it."""
    schema = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return Draft202012Validator(schema).is_valid(message)


def test_the_schemas_in_docs_are_those_of_the_code() -> None:
    """`./dev schemas` writes them; there is no other file."""
    found = {file.name: json.loads(file.read_text("utf-8")) for file in FOLDER.iterdir()}
    assert found == {document["$id"]: document for document in documents(known()).values()}


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.json")), ids=lambda file: file.stem)
def test_each_is_a_right_schema_by_itself(file: Path) -> None:
    """Of 2020-12, its `$id` relative, its references within itself."""
    text = file.read_text("utf-8")
    Draft202012Validator.check_schema(json.loads(text))
    assert json.loads(text)["$id"] == file.name
    assert text.count('"$ref": "#/') == text.count('"$ref"')


def test_each_field_is_described() -> None:
    """In words from the code, for whoever has nothing but the schema."""
    found = documents(known())
    fields = [
        found["result"]["properties"],
        found["output"]["properties"],
        found["batch-event"]["properties"],
        found["job"]["else"]["properties"],
    ]
    fields += [found[name]["properties"]["algoInput"]["properties"] for name in LISTED_NAMES]
    assert [name for each in fields for name, field in each.items() if not field.get("description")] == []


@pytest.mark.parametrize("sample", samples.ALL)
def test_payloads_of_the_page_are_valid(sample: Any) -> None:
    """By the schema of all, by their own and by that of a job, alone and in a wrapping."""
    payload = sample()
    assert all(valid(name, payload) for name in ("payload", "job", payload["workflow"]))
    assert valid("job", {"payload": payload, "id": "a", "metadata": {"sku": 1}, "unlisted": False})
    payload["algoInput"].popitem()
    assert not any(valid(name, payload) for name in ("payload", "job", payload["workflow"]))
    assert not valid("job", {"payload": payload})
    assert valid("job", {"payload": payload, "unlisted": True})


@pytest.mark.parametrize(
    "changes",
    [
        {"workflow": "OTHER"},
        {"version": ""},
        {"algoInput": []},
        {"algoInput": {}},
        {"priority": 1},
        {"workflow": 5},
    ],
)
def test_wrong_payloads_are_not(changes: dict[str, Any]) -> None:
    """Nor is a job of one."""
    payload = {**samples.text_to_image(), **changes}
    assert not valid("payload", payload)
    assert not valid("job", payload)
    assert not valid("job", {"payload": payload})


@pytest.mark.parametrize(
    "changes", [{"id": ""}, {"id": 5}, {"metadata": []}, {"unlisted": "yes"}, {"prio": 1}]
)
def test_wrong_jobs_are_not(changes: dict[str, Any]) -> None:
    """What `aigc submit` refuses beside the payload."""
    assert not valid("job", {"payload": samples.text_to_image(), **changes})


def test_a_jobs_schema_has_the_fields_that_aigc_submit_takes() -> None:
    """Whoever adds one adds it there."""
    properties = json.loads((FOLDER / "job.json").read_text("utf-8"))["else"]["properties"]
    assert properties.keys() == jobs._JOB_FIELDS


def test_an_output_is_valid() -> None:
    """As it is written, of whichever status, and with a field of a later version."""
    output = json.loads(OUTPUT.to_json())
    assert valid("output", output)
    kept = {"file": "file:///a.png", "sha256": "0" * 64, "bytes": 67, "contentType": "image/png"}
    assert valid("output", {**output, **kept, "later": 1})
    nothing = dict.fromkeys(("jobId", "vendorStatus", "url", "workflow", "version"))
    assert valid("output", {**output, **nothing, "status": "lost"})


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "done"},
        {"taskId": None},
        {"url": None},
        {"jobId": 5},
        {"bytes": -1},
        {"bytes": "67"},
        {"sha256": "0"},
        {"contentType": 1},
        {"finishedAt": "yesterday"},
        {"metadata": None},
        {"schema": 2},
    ],
)
def test_a_wrong_output_is_not(changes: dict[str, Any]) -> None:
    """Each field by its rule, and none may be missing."""
    output = json.loads(OUTPUT.to_json())
    assert not valid("output", output | changes)
    (name,) = changes
    assert not valid("output", {key: value for key, value in output.items() if key != name})


def test_a_result_is_valid() -> None:
    """As it is written, and with a field of a later version."""
    result = json.loads(RESULT.to_json())
    assert valid("result", result)
    assert valid("result", {**result, "queue": "aigc", "later": 1})
    assert valid("result", {**result, "status": "rejected", "taskId": None, "attempts": 0})


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "done"},
        {"taskId": None},
        {"taskId": 5},
        {"attempts": -1},
        {"attempts": "1"},
        {"possibleDuplicate": None},
        {"finishedAt": "yesterday"},
        {"metadata": None},
        {"schema": 2},
        {"queue": 1},
    ],
)
def test_a_wrong_result_is_not(changes: dict[str, Any]) -> None:
    """Nor is one that lacks a field."""
    result = json.loads(RESULT.to_json())
    assert not valid("result", {**result, **changes})
    (name,) = changes
    if name != "queue":
        del result[name]
        assert not valid("result", result)


def test_a_batch_event_is_valid() -> None:
    """As it is written, and with a status of a later version; none that lacks one, or has a wrong field."""
    statuses = {"submitted": 2, "rejected": 0, "exhausted": 0, "unknown": 0, "cancelled": 1}
    event = json.loads(BatchEvent("nightly", 3, statuses, TIME, TIME).to_json())  # type: ignore[arg-type]
    assert valid("batch-event", event)
    assert valid("batch-event", {**event, "statuses": {**statuses, "later": 1}})
    for wrong in (
        {"total": -1},
        {"statuses": {"submitted": 2}},
        {"closedAt": ""},
        {"schema": 2},
        {"batch": 1},
    ):
        assert not valid("batch-event", {**event, **wrong})
        assert not valid("batch-event", {name: value for name, value in event.items() if name not in wrong})


def test_declared_workflows_have_schemas_too() -> None:
    """By version, with references of their own and names of any characters; a name of ours stays ours."""
    tree = {"properties": {"x": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"const": 1}}}
    odd = "A/B ~%20"
    found = documents(
        [
            KnownWorkflow(odd, "1", "", tree, "file"),
            KnownWorkflow(odd, "*", "", {"required": ["y"]}, "file"),
            KnownWorkflow("result", "1", "", {}, "file"),
        ]
    )
    assert found["result"]["title"] == "How a job ended"
    for name in ("payload", "job", odd):
        Draft202012Validator.check_schema(found[name])
        is_valid = Draft202012Validator(found[name]).is_valid
        assert is_valid({"workflow": odd, "version": "1", "algoInput": {"x": 1}})
        assert not is_valid({"workflow": odd, "version": "1", "algoInput": {"x": 2}})
        assert is_valid({"workflow": odd, "version": "2", "algoInput": {"x": 2, "y": 1}})
        assert not is_valid({"workflow": odd, "version": "2", "algoInput": {"x": 2}})
    is_valid = Draft202012Validator(found["payload"]).is_valid
    assert is_valid({"workflow": "result", "version": "1", "algoInput": {"x": 1}})
    assert not is_valid({"workflow": "result", "version": "2", "algoInput": {"x": 1}})
    assert "/" not in found[odd]["$id"]
