"""What the preflight finds. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """A result's error code."""

    UNREACHABLE = "AIGC_IMAGE_UNREACHABLE"
    FORMAT = "AIGC_IMAGE_FORMAT"
    TOO_LARGE = "AIGC_IMAGE_TOO_LARGE"
    TOO_SMALL = "AIGC_IMAGE_TOO_SMALL"
    DIMENSIONS = "AIGC_IMAGE_DIMENSIONS"
    URL_EXPIRED = "AIGC_IMAGE_URL_EXPIRED"
    FORBIDDEN_ADDRESS = "AIGC_IMAGE_FORBIDDEN_ADDRESS"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a picture, in words that go after the name of its field.

    ``certain``: it will not get better by itself, so the vendor would refuse it as well; else it may.
    ``of_host``: its host gave no answer at all, so nothing else from there can be had either.
    ``retry_after_s``: for so many seconds its host asks not to be asked.
    """

    code: Code
    words: str
    certain: bool = True
    of_host: bool = False
    retry_after_s: float | None = None
