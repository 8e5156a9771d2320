"""The body of a Celery message, as the JSON value that it stands for; and why it cannot be read. Pure."""

from __future__ import annotations

import binascii
import json
from typing import Any

from tasks.checks import clip
from tasks.json_text import loads
from worker.domain.compression import inflate, is_known


def read_body(body: Any, encoding: Any, compression: Any) -> Any:
    """The value of a body in JSON, encoded and compressed as the message says.

    Args:
        body: as it stands in the message.
        encoding: properties.body_encoding; anything but "base64" leaves the body as it is.
        compression: headers.compression; what is no text, or names no method, is not believed.

    Raises:
        ValueError: it cannot be read, in words for whoever runs the producer; no part of it is repeated.
    """
    if not isinstance(body, str):
        raise ValueError("body is missing" if body is None else "body must be text")
    try:
        data = binascii.a2b_base64(body, strict_mode=True) if encoding == "base64" else body
    except ValueError:
        raise ValueError("body is not base64, as properties.body_encoding says") from None
    if isinstance(compression, str) and is_known(compression):
        if isinstance(data, str):
            raise ValueError("body must be base64 where it is compressed")
        try:
            data = inflate(data, compression)
        except ValueError as error:
            raise ValueError(f"body {error}") from None
    try:
        return loads(data)
    except (ValueError, RecursionError) as error:
        how = f" (headers.compression is {clip(compression)})" if isinstance(compression, str) else ""
        raise ValueError(f"body {why_not_json(error)}{how}") from None


def why_not_json(error: ValueError | RecursionError) -> str:
    """Why a text could not be read as JSON, to go on with after its name."""
    if isinstance(error, RecursionError):
        return "is nested too deep to be read"
    if isinstance(error, UnicodeDecodeError):
        return "is not JSON: it is not UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return f"is not JSON: {error.msg} at character {error.pos}"
    return "holds a number of thousands of digits"


def kind_of(value: Any) -> str:
    """The JSON type's name of what is no object: it may be a prompt, so it is not repeated."""
    names = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "an array"}
    return names.get(type(value), "null")
