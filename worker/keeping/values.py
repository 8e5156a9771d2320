"""What a file is kept for, and what came of it. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finished:
    """The task whose file is kept: what its name in the store is made of.

    ``finished_at`` is when the task ended, as in messages (``2026-11-22T22:31:33.123Z``), and stays what it
    was when keeping is tried again: its day is part of the name. ``job_id``, ``workflow`` and ``version`` are
    None where the task was bought elsewhere.
    """

    task_id: str
    job_id: str | None
    workflow: str | None
    version: str | None
    metadata: Mapping[str, object]
    finished_at: str


@dataclass(frozen=True, slots=True)
class Kept:
    """The file is in the store, whole.

    ``file`` is an absolute path in a store of files, else a URL such as ``s3://bucket/name``. ``sha256`` in
    hex, ``bytes`` and ``content_type`` are those of what was fetched, whatever its host says.
    """

    file: str
    sha256: str
    bytes: int
    content_type: str


@dataclass(frozen=True, slots=True)
class NotKept:
    """Why it is not, in words without the URL, which is a secret for as long as it is valid.

    ``is_final``: trying again does not help, since the link has expired or leads to where no request may
    go, or what is there is no picture or clip, or too large.
    """

    reason: str
    is_final: bool
