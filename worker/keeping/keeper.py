"""Fetches a finished file and keeps it: the parts put together."""

from __future__ import annotations

import datetime
import logging
import re
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

from worker.config.store import StoreSettings
from worker.domain.file_names import NameFields, NameTemplate, with_task_id
from worker.fetching import Fetcher, FetchFault, Limits, Network
from worker.keeping.folder_store import FolderStore
from worker.keeping.incoming import Incoming, StoreFault
from worker.keeping.media_types import NoMedia
from worker.keeping.object_store import ObjectStore
from worker.keeping.values import Finished, Kept, NotKept

log = logging.getLogger(__name__)

_CONNECT_S: Final = 10.0
_SILENCE_S: Final = 30.0
_GONE: Final = frozenset({401, 403, 404, 410})


class Store(Protocol):
    """Where files are kept. The methods raise StoreFault; each leaves a whole file or none."""

    def incoming(self) -> AbstractContextManager[Incoming]: ...
    def create(self, incoming: Incoming, name: str) -> bool: ...
    def replace(self, incoming: Incoming, name: str) -> None: ...
    def holds(self, name: str, size: int, sha256: str) -> bool: ...
    def location(self, name: str) -> str: ...
    def probe(self) -> None: ...


class Keeper:
    """Keeps finished files; thread-safe, and any number of processes may have one for the same store."""

    def __init__(self, store: Store, fetcher: Fetcher, template: NameTemplate, max_bytes: int) -> None:
        self._store = store
        self._fetcher = fetcher
        self._template = template
        self._max_bytes = max_bytes

    @classmethod
    def of(cls, settings: StoreSettings, allowed: Sequence[Network]) -> Keeper:
        """As the settings have it; the networks are those beside the public internet.

        Raises:
            OSError: the store's folder cannot be made or written to.
        """
        store: Store
        if settings.scheme == "file":
            store = FolderStore(settings.root)
        else:
            store = ObjectStore(settings.scheme, settings.root)
        limits = Limits(
            total_s=settings.timeout_s,
            connect_s=min(_CONNECT_S, settings.timeout_s),
            silence_s=min(_SILENCE_S, settings.timeout_s),
        )
        return cls(store, Fetcher(allowed, limits=limits), settings.name, settings.max_bytes)

    def keep(self, url: str, of: Finished) -> Kept | NotKept:
        """Fetch what is at the URL and store it; never raises.

        It may be called again for the same task, after whatever end: the same bytes get the same name, and
        are there once. Blocks for as long as the settings allow for fetching, and for the store.
        """
        try:
            with self._store.incoming() as incoming:
                found = self._fetcher.download(url, incoming.write, self._max_bytes)
                if isinstance(found, FetchFault):
                    return _not_fetched(found)
                return self._stored(incoming, of)
        except NoMedia as error:
            return NotKept(f"what the link brings {error}", True)
        except StoreFault as error:
            return NotKept(str(error), False)
        except Exception as error:
            # Without its message, in which the URL may stand.
            stack = "".join(traceback.format_tb(error.__traceback__))
            log.error("keeping a file failed: %s\n%s", type(error).__name__, stack)
            return NotKept(f"keeping it failed ({type(error).__name__}): the log has the details", False)

    def check(self) -> str | None:
        """Why the store does not take files, by writing a few bytes to it; None where it does."""
        try:
            self._store.probe()
        except StoreFault as error:
            return str(error)
        return None

    def _stored(self, incoming: Incoming, of: Finished) -> Kept | NotKept:
        if incoming.media_type is None:
            return NotKept("the link brings an empty file", False)
        fields = NameFields(
            date=_day(of.finished_at),
            task_id=of.task_id,
            job_id=of.job_id,
            workflow=of.workflow,
            version=of.version,
            ext=incoming.media_type.ext,
            metadata=of.metadata,
        )
        name = self._place(incoming, self._template.name(fields), of.task_id)
        content_type = incoming.media_type.content_type
        return Kept(self._store.location(name), incoming.sha256, incoming.size, content_type)

    def _place(self, incoming: Incoming, name: str, task_id: str) -> str:
        """Store it; returns its name. What has the name, and is another file, stays what it is."""
        if self._store.create(incoming, name) or self._store.holds(name, incoming.size, incoming.sha256):
            return name
        own = with_task_id(name, task_id)
        self._store.replace(incoming, own)
        return own


def _not_fetched(fault: FetchFault) -> NotKept:
    words = f"the link: {fault.words}" if fault.words.startswith("its ") else f"the link {fault.words}"
    if fault.status in _GONE:
        words += ": it has expired, or does not let us in"
    return NotKept(words, fault.kind != "transient")


def _day(finished_at: str) -> str:
    """The day, as the message has it; today's where it has none."""
    found = re.match(r"\d{4}-\d\d-\d\d(?!\d)", finished_at, re.ASCII)
    return found[0] if found else datetime.datetime.now(datetime.UTC).date().isoformat()
