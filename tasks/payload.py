"""Payloads in the vendor's JSON shape: what may be queued, and which of its fields are images. Pure.

What is accepted is sent as it came: validation judges the data and never replaces it, since libraries
that parse also normalise (a URL's trailing slash is enough to sign something else than what was sent).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from .checks import NAME_RULE, check_json, check_metadata, clip, is_name
from .declared import NONE, Declared
from .declared.current import current
from .exceptions import InvalidPayload
from .image_url import other_format
from .listed import (
    IMAGES,
    INPUTS,
    LISTED_NAMES,
    ImageToVideo,
    Listed,
    TextToImage,
    VirtualTryOn,
    explain,
)
from .typed_json import typed_values

__all__ = [
    "LISTED_NAMES",
    "ImageToVideo",
    "InvalidPayload",
    "Listed",
    "TextToImage",
    "VirtualTryOn",
    "Workflow",
    "check_metadata",
    "doubts",
    "image_urls",
    "parse",
    "to_wire",
]

ALGO_INPUT_MAX_BYTES: Final = 256 * 1024


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
    Raises InvalidPayload naming each wrong field, SettingsError where the file of workflows is wrong.
    """
    if not isinstance(payload, dict):
        raise InvalidPayload([("payload", f"must be an object, got {clip(payload)}")])
    declared = NONE if unlisted else current()
    errors = list(_shape_errors(payload, unlisted, declared))
    if not unlisted:
        errors += _input_errors(payload, declared)
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
    declared = current()
    if declared.names and (entry := declared.find(payload["workflow"], payload["version"])):
        yield from entry.images(payload["algoInput"])
        return
    for name in IMAGES.get(payload["workflow"], ()):
        url = payload["algoInput"].get(name)
        if isinstance(url, str):
            yield f"algoInput.{name}", url


_SHAPE: Final = {"workflow", "version", "algoInput"}


def _shape_errors(payload: dict[Any, Any], unlisted: bool, declared: Declared) -> Iterator[tuple[str, str]]:
    workflow, version, algo_input = payload.get("workflow"), payload.get("version"), payload.get("algoInput")
    if not is_name(workflow):
        yield "workflow", f"must be {NAME_RULE}, got {clip(workflow)}"
    elif not unlisted and workflow not in INPUTS and workflow not in declared.names:
        known = ", ".join(dict.fromkeys((*INPUTS, *sorted(declared.names))))
        ways = "declare it in AIGC_WORKFLOWS_FILE, or mark it unlisted"
        yield "workflow", f"must be one of {known}, got {clip(workflow)}; to send another one, {ways}"
    if not is_name(version):
        yield "version", f"must be {NAME_RULE}, got {clip(version)}"
    if not isinstance(algo_input, dict):
        yield "algoInput", f"must be an object, got {clip(algo_input)}"
    if len(payload) != len(_SHAPE) or workflow is None or version is None or algo_input is None:
        for name in payload.keys() - _SHAPE:
            yield clip(name), "unknown field: a payload has workflow, version and algoInput"


def _input_errors(payload: dict[Any, Any], declared: Declared) -> Iterable[tuple[str, str]]:
    workflow, algo_input = payload.get("workflow"), payload.get("algoInput")
    # Anything else than these two types is reported by _shape_errors, and may not even be hashable.
    if not (isinstance(workflow, str) and isinstance(algo_input, dict)):
        return ()
    if workflow in declared.names:
        version = payload.get("version")
        if entry := declared.find(workflow, version):
            return entry.faults(algo_input)
        if workflow not in INPUTS and is_name(version):
            versions = ", ".join(declared.versions(workflow))
            return [("version", f"must be one of {versions} for {workflow}, got {clip(version)}")]
    if workflow not in INPUTS:
        return ()
    try:
        INPUTS[workflow].model_validate(algo_input)
    except ValidationError as error:
        return explain(error, workflow)
    return ()
