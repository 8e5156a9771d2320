"""What a mapping makes of a product. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field

from tasks import Submission
from tasks.exceptions import AigcError


class MappingError(AigcError, ValueError):
    """A mapping that cannot be right; the message names its table and field, a line for each fault."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an item of a product made no job, though it should have."""

    job: str
    """Name of the [[job]] table."""
    item: str
    """As in `MappedJob`; empty where the whole product is at fault."""
    field: str
    """Table and field of the mapping, such as "[job.input] inputText"; or a field of the payload."""
    message: str

    def __str__(self) -> str:
        where = ", ".join(filter(None, (f"job {self.job}" if self.job else "", self.item)))
        return ": ".join(filter(None, (where, self.field, self.message)))


@dataclass(frozen=True, slots=True)
class MappedJob:
    """A job that may be queued as it is: its payload is valid."""

    submission: Submission
    """Its `dedupe_key` is the purchase key, its `dedupe_ttl_s` the window in seconds."""
    item: str
    """What it is made from: "image 2", "variant 1" or "product"."""
    job: str
    """Name of the [[job]] table."""


@dataclass(frozen=True, slots=True)
class MappedJobs:
    """All that a mapping made of one product."""

    jobs: list[MappedJob] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Why a [[job]] table made nothing of the product, which is no fault: `NO_IMAGE` or `NOT_WANTED`."""


NO_IMAGE = "no picture"
NOT_WANTED = "not wanted (when)"
