"""What tests of kept files share: a keeper as settings make it, tasks, pictures that are told apart."""

from __future__ import annotations

import hashlib

from tests.picture_host import png
from worker.config.settings import load
from worker.from_settings import keeper_of
from worker.keeping import Finished, Keeper, Kept, NotKept

KEYS = {"AIGC_ACCESS_KEY": "k", "AIGC_SECRET_KEY": "s", "AIGC_FETCH_ALLOW": "127.0.0.1/32"}
ENDED_AT = "2026-11-22T22:31:33.123Z"


def keeper(store_url: str, **environ: str) -> Keeper:
    """The keeper of these settings; loopback is allowed to it."""
    made = keeper_of(load({**KEYS, "AIGC_STORE_URL": store_url, **environ}))
    assert made is not None
    return made


def finished(task_id: str = "task-1", job_id: str | None = "job-1", **metadata: object) -> Finished:
    """A task of a known workflow that ended."""
    return Finished(task_id, job_id, "TEXT2IMAGE", "1.0.0", metadata, ENDED_AT)


def picture(mark: int = 0, size: int = 6000) -> bytes:
    """A picture that is another one for each mark."""
    return png(size=size - 8) + mark.to_bytes(8, "big")


def as_kept(body: bytes, file: str, content_type: str = "image/png") -> Kept:
    """What keeping these bytes comes to."""
    return Kept(file, hashlib.sha256(body).hexdigest(), len(body), content_type)


def reason(found: Kept | NotKept) -> str:
    """Why it was not kept, and is worth another try."""
    assert isinstance(found, NotKept), found
    assert not found.is_final
    return found.reason


def final_reason(found: Kept | NotKept) -> str:
    """Why it never will be."""
    assert isinstance(found, NotKept), found
    assert found.is_final
    return found.reason
