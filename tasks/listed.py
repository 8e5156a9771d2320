"""The workflows of the vendor's page as models, with every limit of the page. Pure.

Each limit is stated once, beside the field it belongs to, together with its words for error messages and its
JSON Schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    create_model,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from .checks import URL_MAX_CHARS, clip
from .contract import NAME_MAX_CHARS
from .declared.formats import IMAGE_URL
from .exceptions import InvalidPayload
from .image_url import IMAGE_URL_RULE, image_url_fault

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
    str,
    _string(lambda text: len(text) <= 500),
    Field(description="a string of at most 500 characters"),
    WithJsonSchema({"type": "string", "maxLength": 500}),
]
ImageUrl = Annotated[
    str,
    PlainValidator(_image_url),
    Field(description=IMAGE_URL_RULE),
    # Of a public host and in a right format: that no keyword says.
    WithJsonSchema(
        {
            "type": "string",
            "format": IMAGE_URL,
            "maxLength": URL_MAX_CHARS,
            "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://",
        }
    ),
]
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
            raise InvalidPayload(explain(error, self.workflow)) from None

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


def explain(error: ValidationError, workflow: str) -> Iterator[tuple[str, str]]:
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


LISTED: Final[tuple[type[Listed], ...]] = (TextToImage, ImageToVideo, VirtualTryOn)
"""All of them."""

LISTED_NAMES: Final = tuple(model.workflow for model in LISTED)
"""The workflows that the vendor's page lists, by the vendor's names."""

_RULES: Final = {
    model.workflow: {to_camel(name): str(field.description) for name, field in model.model_fields.items()}
    for model in LISTED
}

IMAGES: Final = {
    workflow: [name for name, rule in rules.items() if rule == IMAGE_URL_RULE]
    for workflow, rules in _RULES.items()
}
"""By workflow: the fields of algoInput that are images."""


def _input_model(model: type[Listed]) -> type[BaseModel]:
    """The model's algoInput alone, under the vendor's names only: what `parse` checks."""
    config = ConfigDict(strict=True, extra="forbid", protected_namespaces=())
    fields: dict[str, Any] = {
        to_camel(name): (field.rebuild_annotation(), ...) for name, field in model.input_fields().items()
    }
    return create_model(model.workflow, __config__=config, **fields)


INPUTS: Final = {model.workflow: _input_model(model) for model in LISTED}
"""By workflow: the model of its algoInput."""


def input_schema(model: type[Listed]) -> dict[str, Any]:
    """The JSON Schema of a workflow's algoInput, generated from its fields."""
    generated = INPUTS[model.workflow].model_json_schema()
    fields = {
        name: {"description": _RULES[model.workflow][name], **field}
        for name, field in generated["properties"].items()
    }
    for each in fields.values():
        each.pop("title", None)
    return {**{name: generated[name] for name in _KEPT}, "properties": fields}


_KEPT: Final = ("type", "required", "additionalProperties")
