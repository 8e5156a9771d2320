"""What producers and consumers ask of the world beyond their process: of Redis, or of its stand-in in tests.

The public functions check what they are given and make values of it; whichever backend is in use does the
rest. `tasks` puts the one over Redis into use when it is imported, `tasks.testing` its own for a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from celery import Celery

    from .batch_store.scripts import Found
    from .cancel_many import Cancelled
    from .push import Push
    from .reading.drivers import Source
    from .reading.feed import Feed, M
    from .reading.patience import Patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How to read a stream: the arguments of `listen`, `consume` or `replay`; see there."""

    way: Literal["listen", "consume", "replay"]
    redis_url: str | None
    patience: Patience
    is_async: bool
    start: str = "0"
    group: str = ""
    consumer: str = ""
    block_ms: int = 1000
    claim_idle_ms: int = 60_000
    prefetch: int = 1


class Batches(Protocol):
    """What `tasks.batches` asks about batches; see there."""

    def read(self, batch: str) -> Found | None:
        """What is known of a batch; None where there is none."""

    def close(self, batch: str, total: int | None) -> bool:
        """Say that all of its jobs were added; False where there is no such batch."""

    def cancel(self, batch: str) -> Cancelled:
        """Have no attempt of its jobs made any more."""

    def names(self, most: int) -> list[str]:
        """The names of those that are known."""

    def newest_event(self) -> Any:
        """Where the events of batches end now."""

    def next_event(self, last: Any, batch: str, timeout_s: float) -> Any:
        """Wait for an event of this batch, after the one that was seen last; the one that was seen now."""


class Backend(Protocol):
    """Thread-safe. The methods raise BrokerUnavailable, and SettingsError for what cannot be right."""

    @property
    def batches(self) -> Batches:
        """What there is to be asked about batches."""

    def check_may_queue(self) -> None:
        """Raises SettingsError where this process must not queue jobs."""

    def push(self, push: Push) -> list[str]:
        """Queue jobs; the ids, as `Push.ids` gives them."""

    async def push_async(self, push: Push) -> list[str]:
        """The same for asyncio."""

    def celery_app(self) -> Celery:
        """The app by which jobs are sent that need Celery's own options."""

    def holders(self, keys: Sequence[str]) -> list[str | None]:
        """Which job holds each dedupe key."""

    def cancel(self, job_id: str) -> bool:
        """Have no attempt of the job made any more; False where it is too late."""

    def message(self, feed: Feed[M], of: str) -> M | None:
        """The last message about this, such as a job's result; None where there is none."""

    def wait(self, feed: Feed[M], of: str, timeout_s: float | None) -> M:
        """The message about this, once it is there. Raises TimeoutError."""

    async def wait_async(self, feed: Feed[M], of: str, timeout_s: float | None) -> M:
        """The same for asyncio."""

    def source(self, feed: Feed[M], reading: Reading) -> Source[M]:
        """Where messages are read from; `open` is yet to be called."""


_in_use: list[Backend] = []


def use(backend: Backend) -> Backend:
    """Put a backend into use; gives the one that was, the first time itself."""
    before = _in_use[0] if _in_use else backend
    _in_use[:] = [backend]
    return before


def current() -> Backend:
    """The backend in use."""
    return _in_use[0]
