"""The vendor's workflows as typed payloads, with every limit of the vendor's page. Pure.

Each limit is stated once, beside the field it belongs to, together with its words for error messages.
What is accepted is sent as it came: validation judges the data and never replaces it, since libraries
that parse also normalise (a URL's trailing slash is enough to sign something else than what was sent).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, create_model
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from .checks import check_json, check_metadata, clip
from .exceptions import InvalidPayload
from .image_url import IMAGE_URL_RULE, image_url_fault, other_format
from .typed_json import typed_values

__all__ = [
    "ImageToVideo",
    "InvalidPayload",
    "TextToImage",
    "VirtualTryOn",
    "Workflow",
    "check_metadata",
    "parse",
    "to_wire",
]

NAME_MAX_CHARS: Final = 100
ALGO_INPUT_MAX_BYTES: Final = 256 * 1024
_INT_MAX: Final = 2**31 - 1  # the vendor's page says "int", and its own code is Java


def _string(is_right: Callable[[str], bool]) -> PlainValidator:
    # Not pydantic's own str: it refuses half of a surrogate pair, which JSON carries without harm.
    def check(value: object) -> str:
        if isinstance(value, str) and is_right(value):
            return value
        raise ValueError

    return PlainValidator(check)


def _image_url(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    if fault := image_url_fault(value):
        raise PydanticCustomError(_WITH_REASON, "{fault}", {"fault": fault})
    return value


_WITH_REASON: Final = "with_reason"

Prompt = Annotated[
    str, _string(lambda text: len(text) <= 500), Field(description="a string of at most 500 characters")
]
ImageUrl = Annotated[str, PlainValidator(_image_url), Field(description=IMAGE_URL_RULE)]
Version = Annotated[
    str,
    _string(lambda text: 0 < len(text) <= NAME_MAX_CHARS),
    Field(description=f"a string of 1 to {NAME_MAX_CHARS} characters"),
]
Pixels = Annotated[int, Field(ge=1, le=_INT_MAX, description=f"an integer from 1 to {_INT_MAX}")]
Seed = Annotated[int, Field(ge=0, le=_INT_MAX, description=f"an integer from 0 to {_INT_MAX}")]
Category = Annotated[Literal["upper", "lower", "overall"], Field(description="one of upper, lower, overall")]


class Listed(BaseModel):
    """A workflow of the vendor's page. Fields go by their own names or by the vendor's.

    Raises InvalidPayload, not pydantic's error, where a field is wrong.
    """

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )
    workflow: ClassVar[str]
    version: Version = "1.0.0"

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise InvalidPayload(_explain(error, self.workflow)) from None

    def to_wire(self) -> dict[str, Any]:
        """The payload in the vendor's JSON shape."""
        algo_input = {to_camel(name): getattr(self, name) for name in self.input_fields()}
        return {"workflow": self.workflow, "version": self.version, "algoInput": algo_input}

    @classmethod
    def input_fields(cls) -> dict[str, FieldInfo]:
        """The fields that make up algoInput."""
        return {name: field for name, field in cls.model_fields.items() if name != "version"}


class TextToImage(Listed):
    """A picture from text; width and height in pixels."""

    workflow = "TEXT2IMAGE"
    input_text: Prompt
    width: Pixels
    height: Pixels


class ImageToVideo(Listed):
    """A clip from a picture."""

    workflow = "IMAGE2VIDEO"
    input_text: Prompt
    input_image: ImageUrl


class VirtualTryOn(Listed):
    """A garment worn by a model. The same seed and input give the same picture."""

    workflow = "CATVTON"
    model_config = ConfigDict(protected_namespaces=())  # model_image is the vendor's word, not pydantic's
    model_image: ImageUrl
    garment_image: ImageUrl
    category: Category
    seed: Seed


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow that this program does not know; its input is sent unchecked.

    Raises InvalidPayload where JSON cannot carry it.
    """

    name: str
    version: str
    algo_input: dict[str, Any]

    def __post_init__(self) -> None:
        parse(self.to_wire(), unlisted=True)

    def to_wire(self) -> dict[str, Any]:
        """The payload in the vendor's JSON shape."""
        return {"workflow": self.name, "version": self.version, "algoInput": self.algo_input}


def to_wire(payload: Listed | Workflow | dict[str, Any]) -> dict[str, Any]:
    """A model's payload in the vendor's JSON shape; a dict has it already and is not checked here."""
    return payload.to_wire() if isinstance(payload, Listed | Workflow) else payload


def parse(payload: Any, *, unlisted: bool = False) -> dict[str, Any]:
    """Check a payload in the vendor's JSON shape and return that same object, unchanged.

    With `unlisted` the workflow may have any name and its algoInput is not checked, known or not.
    Raises InvalidPayload naming each wrong field.
    """
    if not isinstance(payload, dict):
        raise InvalidPayload([("payload", f"must be an object, got {clip(payload)}")])
    errors = list(_shape_errors(payload, unlisted))
    if not unlisted:
        errors += _input_errors(payload.get("workflow"), payload.get("algoInput"))
    if errors:
        raise InvalidPayload(errors)
    if unlisted:
        check_json(payload["algoInput"], "algoInput", most_bytes=ALGO_INPUT_MAX_BYTES)
        if typed := list(typed_values(payload["algoInput"], "algoInput")):
            raise InvalidPayload(typed)
    return payload


def doubts(payload: dict[str, Any]) -> Iterator[str]:
    """What may be wrong with an image of a payload that `parse` accepts, and only the vendor can tell."""
    for path, url in image_urls(payload):
        if format_name := other_format(url):
            yield (
                f"{path}: its path ends in .{format_name}, and the vendor takes jpg, png and bmp:"
                " it will refuse the picture unless the URL's query converts it"
            )


def image_urls(payload: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The images that a payload which `parse` accepts gives to the vendor: path of the field, URL."""
    for name in _IMAGES.get(payload["workflow"], ()):
        url = payload["algoInput"].get(name)
        if isinstance(url, str):
            yield f"algoInput.{name}", url


_SHAPE: Final = {"workflow", "version", "algoInput"}


def _shape_errors(payload: dict[Any, Any], unlisted: bool) -> Iterator[tuple[str, str]]:
    workflow, version = payload.get("workflow"), payload.get("version")
    name_rule = f"must be a string of 1 to {NAME_MAX_CHARS} printable characters"
    if not _is_name(workflow):
        yield "workflow", f"{name_rule}, got {clip(workflow)}"
    elif not unlisted and workflow not in _INPUTS:
        known = ", ".join(_INPUTS)
        yield (
            "workflow",
            f"must be one of {known}, got {clip(workflow)}; to send another one, mark it unlisted",
        )
    if not _is_name(version):
        yield "version", f"{name_rule}, got {clip(version)}"
    if not isinstance(payload.get("algoInput"), dict):
        yield "algoInput", f"must be an object, got {clip(payload.get('algoInput'))}"
    if payload.keys() != _SHAPE:
        for name in payload.keys() - _SHAPE:
            yield clip(name), "unknown field: a payload has workflow, version and algoInput"


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= NAME_MAX_CHARS and value.isprintable()


def _input_errors(workflow: Any, algo_input: Any) -> Iterable[tuple[str, str]]:
    # Anything else than these two types is reported by _shape_errors, and may not even be hashable.
    if not (isinstance(workflow, str) and isinstance(algo_input, dict)) or workflow not in _INPUTS:
        return ()
    try:
        _INPUTS[workflow].model_validate(algo_input)
    except ValidationError as error:
        return _explain(error, workflow)
    return ()


def _explain(error: ValidationError, workflow: str) -> Iterator[tuple[str, str]]:
    """Pydantic's findings as pairs of a path in the vendor's spelling and what must stand there."""
    rules = _RULES[workflow]
    for found in error.errors(include_url=False, include_context=False):
        given = str(found["loc"][0])
        name = to_camel(given)
        path = name if name == "version" else f"algoInput.{name}"
        if name not in rules or found["type"] == "extra_forbidden":
            fields = ", ".join(field for field in rules if field != "version")
            yield f"algoInput.{given[:40]}", f"unknown field: {workflow} takes {fields}"
        elif found["type"] == "missing":
            yield path, f"is missing: must be {rules[name]}"
        else:
            reason = f": {found['msg']}" if found["type"] == _WITH_REASON else ""
            yield path, f"must be {rules[name]}, got {clip(found['input'])}{reason}"


_LISTED: Final[tuple[type[Listed], ...]] = (TextToImage, ImageToVideo, VirtualTryOn)
LISTED_NAMES: Final = tuple(model.workflow for model in _LISTED)
"""The workflows that the vendor's page lists, by the vendor's names."""

_RULES: Final = {
    model.workflow: {to_camel(name): str(field.description) for name, field in model.model_fields.items()}
    for model in _LISTED
}

_IMAGES: Final = {
    workflow: [name for name, rule in rules.items() if rule == IMAGE_URL_RULE]
    for workflow, rules in _RULES.items()
}


def _input_model(model: type[Listed]) -> type[BaseModel]:
    """The model's algoInput alone, under the vendor's names only: what `parse` checks."""
    config = ConfigDict(strict=True, extra="forbid", protected_namespaces=())
    fields: dict[str, Any] = {
        to_camel(name): (field.rebuild_annotation(), ...) for name, field in model.input_fields().items()
    }
    return create_model(model.workflow, __config__=config, **fields)


_INPUTS: Final = {model.workflow: _input_model(model) for model in _LISTED}
