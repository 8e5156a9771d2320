"""Jobs whose payload or arguments are no good: each ends, none is posted, and the worker goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conditions import until
from tests.integration.stage import Stage, faulty, working


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with working() as stage:
        yield stage


BAD_PAYLOADS: dict[str, Any] = {
    "no object": [1, 2],
    "null": None,
    "a number": 7,
    "empty": {},
    "no algoInput": {"workflow": "TEXT2IMAGE", "version": "1.0.0"},
    "a typo in the name": {**faulty(), "workflow": "TEXT2IMAGES"},
    "a name of another type": {**faulty(), "workflow": ["TEXT2IMAGE"]},
    "a field too many": {**faulty(), "priority": 1},
    "version null": {**faulty(), "version": None},
    "501 characters": {**faulty(), "algoInput": {"inputText": "x" * 501, "width": 1, "height": 1}},
    "a float for an int": {**faulty(), "algoInput": {"inputText": "x", "width": 1.5, "height": 1}},
    "true for an int": {**faulty(), "algoInput": {"inputText": "x", "width": True, "height": 1}},
    "text for an int": {**faulty(), "algoInput": {"inputText": "x", "width": "64", "height": 1}},
    "NaN": {**faulty(), "algoInput": {"inputText": "x", "width": float("nan"), "height": 1}},
    "a private URL": {
        "workflow": "IMAGE2VIDEO", "version": "1.0.0",
        "algoInput": {"inputText": "x", "inputImage": "http://169.254.169.254/latest"},
    },
    "thousands of digits": {**faulty(), "algoInput": {"inputText": "x", "width": 10**4000, "height": 1}},
}  # fmt: skip


@pytest.mark.parametrize("payload", BAD_PAYLOADS.values(), ids=BAD_PAYLOADS)
def test_a_bad_payload_is_rejected_without_a_post(stage: Stage, payload: Any) -> None:
    """Another language's producer gets the same check: rejected with the reason, never posted."""
    before = stage.vendor.posts
    job = stage.put([payload], {"metadata": {"sku": "A-1"}})
    result = stage.result(job)
    assert (result["status"], result["attempts"], result["requestId"]) == ("rejected", 0, None)
    assert (result["errorCode"], result["metadata"]) == ("AIGC_INVALID_PAYLOAD", {"sku": "A-1"})
    assert result["errorMsg"]
    assert stage.vendor.posts == before
    stage.drain()


BAD_ARGUMENTS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "no argument": ([], {}),
    "two arguments": ([faulty(), faulty()], {}),
    "metadata of another type": ([faulty()], {"metadata": "x"}),
    "metadata too large": ([faulty()], {"metadata": {"x": "y" * 4096}}),
    "metadata too deep": ([faulty()], {"metadata": {"x": json.loads("[" * 90 + "]" * 90)}}),
    "unlisted of another type": ([faulty()], {"unlisted": "yes"}),
    "an argument too many": ([faulty()], {"retries": 3}),
    "the payload by name": ([], {"payload": faulty()}),
}


@pytest.mark.parametrize(("args", "kwargs"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_bad_arguments_are_rejected_without_a_post(
    stage: Stage, args: list[Any], kwargs: dict[str, Any]
) -> None:
    """Arguments that the contract does not know end as `rejected`, too."""
    before = stage.vendor.posts
    result = stage.result(stage.put(args, kwargs))
    assert (result["status"], result["attempts"], result["errorCode"]) == (
        "rejected",
        0,
        "AIGC_INVALID_PAYLOAD",
    )
    assert stage.vendor.posts == before


def test_an_argument_named_self_is_rejected_too(stage: Stage) -> None:
    """A keyword argument with the name of the task's own parameter is no way around the check."""
    assert stage.result(stage.put([faulty()], {"self": 1}))["status"] == "rejected"


@pytest.mark.parametrize("arguments", [{}, {"batch": "b"}])
def test_a_workflow_name_that_is_no_text_ends_somehow(stage: Stage, arguments: dict[str, str]) -> None:
    """Half a surrogate pair in an unlisted workflow's name does not lose the job."""
    payload = {**faulty(), "workflow": "\ud800"}
    assert stage.result(stage.put([payload], {"unlisted": True, **arguments}))["status"] in (
        "rejected",
        "submitted",
    )


@pytest.mark.parametrize("depth", [60, 200, 400, 700, 900, 960])
def test_any_depth_of_nesting_is_rejected_or_put_aside(stage: Stage, depth: int) -> None:
    """However deep a payload is nested, its message ends somewhere and the worker goes on."""
    payload = '{"a":' * depth + "1" + "}" * depth
    aside = len(stage.malformed())
    job = stage.put_body(
        f'[[{{"workflow":"X","version":"1","algoInput":{payload}}}],{{"unlisted":true}},{{}}]'
    )
    until(lambda: stage.results_of(job) or len(stage.malformed()) > aside, "an ending")
    stage.drain()
