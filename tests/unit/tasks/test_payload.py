"""What may be queued, and what the refusal says."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import ImageToVideo, InvalidPayload, TextToImage, VirtualTryOn, Workflow
from tasks.payload import Listed, parse
from tests.unit.tasks import samples

INT_MAX = 2**31 - 1


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just(object()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=8,
)


def refusal(payload: Any, *, unlisted: bool = False) -> dict[str, str]:
    """The errors with which a payload is refused, by path."""
    with pytest.raises(InvalidPayload) as caught:
        parse(payload, unlisted=unlisted)
    return dict(caught.value.errors)


def with_input(sample: Callable[[], dict[str, Any]], **fields: Any) -> dict[str, Any]:
    payload = sample()
    payload["algoInput"].update(fields)
    return payload


@pytest.mark.parametrize("sample", samples.ALL)
def test_samples_of_the_page_pass_untouched(sample: Callable[[], dict[str, Any]]) -> None:
    """A payload comes back as the same object with the same content and order of keys."""
    payload = sample()
    before = json.dumps(payload)
    assert parse(payload) is payload
    assert json.dumps(payload) == before


@pytest.mark.parametrize(
    ("model", "sample"),
    [
        (TextToImage(input_text="a cat", width=1024, height=1024), samples.text_to_image),
        (ImageToVideo(input_text="一个人在走路", input_image=samples.IMAGE), samples.image_to_video),
        (
            VirtualTryOn(
                model_image=samples.MODEL, garment_image=samples.GARMENT, category="overall", seed=43
            ),
            samples.virtual_try_on,
        ),
    ],
)
def test_models_make_the_vendors_shape(model: Listed, sample: Callable[[], dict[str, Any]]) -> None:
    """Each model gives exactly the page's JSON, and takes the vendor's names as well."""
    wire = sample()
    assert model.to_wire() == wire
    assert type(model)(**wire["algoInput"], version=wire["version"]) == model


def test_a_model_refuses_bad_input_when_it_is_made() -> None:
    """The error is InvalidPayload, with the vendor's names, whichever names were used."""
    with pytest.raises(InvalidPayload) as caught:
        TextToImage(input_text="x" * 501, width=0, version="")  # type: ignore[call-arg]
    assert [path for path, _ in caught.value.errors] == [
        "version",
        "algoInput.inputText",
        "algoInput.width",
        "algoInput.height",
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inputText", ""),
        ("inputText", " \n\tspaces kept "),
        ("inputText", "x" * 500),
        ("inputText", "\U0001f408" * 500),
        ("inputText", "half a pair \ud800"),
        ("inputText", "nul \x00 and \u2028"),
        ("width", 1),
        ("height", INT_MAX),
    ],
)
def test_limits_are_inclusive_and_any_text_is_a_prompt(field: str, value: object) -> None:
    """Prompts are counted in characters; what they contain does not matter."""
    payload = with_input(samples.text_to_image, **{field: value})
    assert parse(payload)["algoInput"][field] == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inputText", "x" * 501),
        ("inputText", None),
        ("inputText", b"bytes"),
        ("width", 0),
        ("width", -1),
        ("width", True),
        ("width", "1024"),
        ("width", 1024.0),
        ("width", INT_MAX + 1),
        pytest.param("width", 10**5000, id="width-huge"),
        ("height", None),
        ("height", float("nan")),
    ],
)
def test_text_to_image_names_the_wrong_field(field: str, value: object) -> None:
    """One wrong field makes one error with that field's path."""
    assert list(refusal(with_input(samples.text_to_image, **{field: value}))) == [f"algoInput.{field}"]


@pytest.mark.parametrize("seed", [-1, INT_MAX + 1, "43", 43.0, False, None])
def test_seed_must_be_an_integer_in_range(seed: object) -> None:
    """The seed's range is the page's, and a number in a string is no number."""
    assert list(refusal(with_input(samples.virtual_try_on, seed=seed))) == ["algoInput.seed"]


@pytest.mark.parametrize("seed", [0, INT_MAX])
def test_seed_range_is_inclusive(seed: int) -> None:
    """Both ends of the page's range are accepted."""
    assert parse(with_input(samples.virtual_try_on, seed=seed))


@pytest.mark.parametrize("category", ["Upper", "", "upper ", None, 1, ["upper"]])
def test_category_is_one_of_three(category: object) -> None:
    """The category is taken literally."""
    assert list(refusal(with_input(samples.virtual_try_on, category=category))) == ["algoInput.category"]


def test_the_message_says_what_the_field_must_be() -> None:
    """Rule and value both stand in the message."""
    errors = refusal(with_input(samples.virtual_try_on, seed=2**31))
    assert errors == {"algoInput.seed": "must be an integer from 0 to 2147483647, got 2147483648"}


def test_all_wrong_fields_are_named_at_once() -> None:
    """Nobody has to correct a payload one error at a time."""
    payload = {"workflow": "TEXT2IMAGE", "algoInput": {"width": 0, "input_text": "a cat"}, "extra": 1}
    assert set(refusal(payload)) == {
        "version",
        "'extra'",
        "algoInput.inputText",
        "algoInput.width",
        "algoInput.height",
        "algoInput.input_text",
    }


def test_a_prompt_is_not_repeated_in_the_error() -> None:
    """A refused prompt appears in no message: messages end in logs."""
    with pytest.raises(InvalidPayload) as caught:
        parse(with_input(samples.text_to_image, inputText="secret plans " * 50))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("workflow", ["text2image", "TEXT2IMAGE ", "", "OTHER", None, 5, [], "x" * 101])
def test_an_unknown_workflow_is_refused(workflow: object) -> None:
    """A name that is not on the page is taken for a typo."""
    assert "workflow" in refusal({**samples.text_to_image(), "workflow": workflow})


def test_the_refusal_of_an_unknown_workflow_names_the_known_ones_and_the_way_out() -> None:
    """The message tells how to send another workflow on purpose."""
    message = refusal({**samples.text_to_image(), "workflow": "NEW"})["workflow"]
    assert all(name in message for name in ("TEXT2IMAGE", "IMAGE2VIDEO", "CATVTON", "unlisted"))


@pytest.mark.parametrize("payload", [None, [], "text", 5, b"{}", {}, {"algoInput": {}}])
def test_what_is_no_payload_at_all_is_refused(payload: object) -> None:
    """Any value of any type gets InvalidPayload, nothing else."""
    assert refusal(payload)
    assert refusal(payload, unlisted=True)


def test_unlisted_sends_any_workflow_unchecked() -> None:
    """On purpose anything goes, also under a known name."""
    new = {"workflow": "NEW", "version": "9", "algoInput": {"a": [1, 2.5, None, {"b": True}]}}
    known = {"workflow": "TEXT2IMAGE", "version": "2.0.0", "algoInput": {"steps": 30}}
    for payload in (new, known):
        before = copy.deepcopy(payload)
        assert parse(payload, unlisted=True) is payload
        assert payload == before


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (float("nan"), "algoInput.x"),
        (float("-inf"), "algoInput.x"),
        (b"bytes", "algoInput.x"),
        ((1, 2), "algoInput.x"),
        ({1: "a"}, "algoInput.x"),
        ({"list": [0, object()]}, "algoInput.x.list[1]"),
        pytest.param(10**5000, "algoInput", id="huge"),
        pytest.param("x" * 300_000, "algoInput", id="long"),
    ],
)
def test_what_json_cannot_carry_is_refused_by_its_path(value: object, path: str) -> None:
    """Unchecked does not mean unsendable: the place is named."""
    payload = {"workflow": "NEW", "version": "1", "algoInput": {"x": value}}
    assert list(refusal(payload, unlisted=True)) == [path]


def test_bottomless_input_is_refused() -> None:
    """Deep nesting and an object that contains itself end in InvalidPayload, not in a RecursionError."""
    loop: dict[str, Any] = {}
    loop["self"] = loop
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (loop, deep):
        payload = {"workflow": "NEW", "version": "1", "algoInput": {"x": value}}
        assert "nested" in str(refusal(payload, unlisted=True))


def test_workflow_takes_its_three_values_in_order() -> None:
    """Workflow(name, version, algo_input) gives the vendor's shape."""
    workflow = Workflow("NEW", "1.0.0", {"a": 1})
    assert workflow.to_wire() == {"workflow": "NEW", "version": "1.0.0", "algoInput": {"a": 1}}


@pytest.mark.parametrize(
    ("name", "version", "algo_input"),
    [("", "1", {}), ("N", "", {}), ("N", "1", []), (1, "1", {}), ("N", "1", {"x": b""})],
)
def test_workflow_refuses_what_cannot_be_sent(name: Any, version: Any, algo_input: Any) -> None:
    """An unlisted workflow is checked for its shape when it is made."""
    with pytest.raises(InvalidPayload):
        Workflow(name, version, algo_input)


@given(ANYTHING, st.booleans())
def test_no_value_raises_anything_else(value: Any, unlisted: bool) -> None:
    """Whatever stands for a payload or in one is accepted or refused; nothing else is raised."""
    shaped = {"workflow": "CATVTON", "version": "1", "algoInput": value}
    for payload in (value, shaped, {**shaped, "workflow": value}, {**shaped, "algoInput": {"seed": value}}):
        try:
            accepted = parse(payload, unlisted=unlisted)
        except InvalidPayload as error:
            message = str(error)
        else:
            message = "accepted" if accepted is payload else ""
        assert message


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4))
def test_every_json_object_is_an_unlisted_input(algo_input: dict[str, Any]) -> None:
    """Plain JSON of reasonable size always passes, and can be sent."""
    payload = {"workflow": "NEW", "version": "1", "algoInput": algo_input}
    assert json.loads(json.dumps(parse(payload, unlisted=True))) == payload


@given(st.text(max_size=500), st.integers(1, INT_MAX), st.integers(1, INT_MAX))
def test_a_model_and_its_wire_shape_agree(text: str, width: int, height: int) -> None:
    """What a model accepts, parse accepts, and nothing is changed on the way."""
    wire = TextToImage(input_text=text, width=width, height=height).to_wire()
    assert parse(wire)["algoInput"] == {"inputText": text, "width": width, "height": height}
