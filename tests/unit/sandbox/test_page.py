"""The sandbox's checks of headers, signature and parameters."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.declared.file import load
from tests.unit.tasks.declared.entries import EXAMPLE
from worker.dev.sandbox import page
from worker.domain import signing

KEYS = signing.Credentials("5017110000045218", "a secret")
NOW_S = 1741855077.857
PROMPT = {"inputText": "一个人在走路", "width": 1024, "height": 768}
PICTURE = "https://img.alicdn.com/imgextra/a.jpg"
TRY_ON = {"modelImage": PICTURE, "garmentImage": PICTURE, "category": "overall", "seed": 43}


def signed(body: bytes, **changed: str) -> dict[bytes, bytes]:
    """Right headers of a submit as an ASGI server hands them over, but for what is changed."""
    request_id = "893e87bb-6083-4249-aedd-a376cac24bee"
    headers = signing.headers(KEYS, body=body, request_id=request_id, timestamp_ms=int(NOW_S * 1000))
    lower = {name.lower().replace("-", "_"): value for name, value in headers.items()} | changed
    return {name.replace("_", "-").encode(): value.encode() for name, value in lower.items()}


def invalid(payload: object, *, allow_unlisted: bool = False) -> str | None:
    """What the parameter check says of a payload."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return page.invalid({b"content-type": b"application/json"}, body, allow_unlisted)


def submit(workflow: str, algo_input: dict[str, Any]) -> dict[str, Any]:
    """A payload of version 1.0.0."""
    return {"workflow": workflow, "version": "1.0.0", "algoInput": algo_input}


def test_a_rightly_signed_request_passes() -> None:
    """The five headers of our own signer satisfy the check, with any of several keys."""
    older = signing.Credentials("another", "secret")
    assert page.unauthentic(signed(b"{}"), b"{}", [older, KEYS], NOW_S, 900) is None


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"x_access_key": ""}, "x-access-key is missing"),
        ({"x_access_key": "someone else"}, "signature does not match"),
        ({"x_request_sign": "bm90IGl0"}, "signature does not match"),
        ({"x_request_sign": "nicht-ascii-é"}, "signature does not match"),
        ({"x_acs_request_id": "not-a-uuid"}, "must be a UUID"),
        ({"x_request_timestamp": "2025-03-28"}, "must be milliseconds"),
        ({"x_request_timestamp": str(int(NOW_S * 1000) + 1)}, "signature does not match"),
        ({"x_request_timestamp": str(int(NOW_S))}, "more than 900 s"),
    ],
)
def test_a_wrong_header_is_named(changed: dict[str, str], why: str) -> None:
    """Each header is checked, and the refusal says which one is wrong."""
    assert why in str(page.unauthentic(signed(b"{}", **changed), b"{}", [KEYS], NOW_S, 900))


def test_the_signature_covers_the_body_to_the_byte() -> None:
    """The same JSON with another space does not pass."""
    assert page.unauthentic(signed(b'{"a":1}'), b'{"a": 1}', [KEYS], NOW_S, 900) is not None


@pytest.mark.parametrize(
    ("now_s", "passes"), [(NOW_S + 899, True), (NOW_S - 899, True), (NOW_S + 901, False)]
)
def test_the_timestamp_may_be_off_either_way_but_not_by_more(now_s: float, passes: bool) -> None:
    """Fifteen minutes are forgiven."""
    assert (page.unauthentic(signed(b""), b"", [KEYS], now_s, 900) is None) is passes


@pytest.mark.parametrize(
    "payload",
    [
        submit("IMAGE2VIDEO", {"inputText": "", "inputImage": PICTURE}),
        submit("CATVTON", TRY_ON),
        submit("TEXT2IMAGE", PROMPT | {"inputText": "😀" * 500}),
        submit("TEXT2IMAGE", PROMPT | {"inputText": "\ud800 lone"}),
    ],
)
def test_right_parameters_pass(payload: dict[str, Any]) -> None:
    """The three workflows, at their limits."""
    assert invalid(payload) is None


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"workflow": NaN}', "not JSON"),
        ([], "must be a JSON object"),
        ({"workflow": "TEXT2IMAGE", "algoInput": PROMPT}, "version is required"),
        (submit("", PROMPT), "workflow is required"),
        (submit("TEXT2VIDEO", PROMPT), "'TEXT2VIDEO' does not exist"),
        (submit("TEXT2IMAGE", PROMPT | {"inputText": "x" * 501}), "at most 500"),
        (submit("TEXT2IMAGE", PROMPT | {"width": 0}), "algoInput.width"),
        (submit("TEXT2IMAGE", PROMPT | {"width": True}), "algoInput.width"),
        (submit("TEXT2IMAGE", PROMPT | {"height": 768.0}), "algoInput.height"),
        (submit("TEXT2IMAGE", {"inputText": "a cat", "width": 1}), "algoInput.height is required"),
        (submit("CATVTON", TRY_ON | {"seed": 2147483648}), "algoInput.seed"),
        (submit("CATVTON", TRY_ON | {"seed": "43"}), "algoInput.seed"),
        (submit("CATVTON", TRY_ON | {"category": ["upper"]}), "one of upper, lower, overall"),
        (submit("CATVTON", TRY_ON | {"modelImage": "http://192.168.1.2/a.png"}), "public http(s) URL"),
        (submit("CATVTON", TRY_ON | {"modelImage": "http://[::1/a.png"}), "public http(s) URL"),
        (submit("CATVTON", TRY_ON | {"garmentImage": "ftp://a.example/a.png"}), "algoInput.garmentImage"),
    ],
)
def test_wrong_parameters_are_named(payload: object, why: str) -> None:
    """The refusal names the field and what it must be."""
    assert why in str(invalid(payload))


def test_a_declared_workflow_goes_by_its_schema() -> None:
    """In the place of the page, for its version; the page's other versions are as they were."""
    declared, _ = load(str(EXAMPLE))

    def refused(payload: object) -> str | None:
        body = json.dumps(payload).encode()
        return page.invalid({b"content-type": b"application/json"}, body, False, declared)

    assert refused(submit("TEXT2IMAGE", {"prompt": "x", "seed": 1})) is None
    assert refused(submit("LOOKBOOK", {"title": "x", "images": [PICTURE]})) is None
    assert "algoInput.prompt is missing" in str(refused(submit("TEXT2IMAGE", PROMPT)))
    assert refused({**submit("TEXT2IMAGE", PROMPT), "version": "1.0.1"}) is None


def test_an_unlisted_workflow_passes_only_where_it_is_allowed() -> None:
    """The vendor has more workflows than its page; a typo must still be noticed by default."""
    payload = submit("TEXT2VIDEO", {"anything": 1})
    assert invalid(payload) is not None
    assert invalid(payload, allow_unlisted=True) is None


@pytest.mark.parametrize(
    ("value", "passes"), [("application/json; charset=utf-8", True), ("text/plain", False)]
)
def test_the_content_type_must_be_json(value: str, passes: bool) -> None:
    """Its parameters do not matter."""
    body = json.dumps(submit("TEXT2IMAGE", PROMPT)).encode()
    assert (page.invalid({b"content-type": value.encode()}, body, False) is None) is passes


def test_a_setting_lets_pictures_be_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """As producers and workers have it: tests have their pictures there."""
    picture = {"inputText": "a cat", "inputImage": "http://127.0.0.1:8000/a.jpg"}
    payload = {"workflow": "IMAGE2VIDEO", "version": "1.0.0", "algoInput": picture}
    assert invalid(payload) is not None
    monkeypatch.setenv("AIGC_FETCH_ALLOW", "127.0.0.0/8")
    assert invalid(payload) is None
