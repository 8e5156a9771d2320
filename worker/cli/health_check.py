"""Whether the workers of this machine, or container, consume: what a health check asks.

It answers in time whatever Redis does, and writes nothing. What is not the worker's fault, and no restart of
it would help, is no bad health: Redis away, hung, loading or refusing writes; a vendor that refuses. But then
there must be a worker here that it is away for: one that lives keeps its in-flight log locked.
"""

from __future__ import annotations

import tempfile
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tasks.redis_errors import refusal
from tasks.redis_url import place_of
from tasks.settings import BrokerSettings, broker_from_environ
from worker.config.settings import state_dir_from_environ
from worker.local import process_identity
from worker.local.inflight_folder import LogFolder
from worker.store.keys import KeyNames
from worker.store.redis_wait import Away
from worker.store.scripts import connect
from worker.store.selftest import refusals
from worker.store.workers import SILENCE_S

DEADLINE_S: Final = 3.7
"""Above a beat of the workers; with the start of Python it stays below the 5 s of a strict health check."""

_LOOK_AGAIN_S: Final = 0.3

Health = tuple[bool, str]


def check() -> Health:
    """Whether all is well, and a line that says so or why not.

    Raises:
        SettingsError: the environment cannot be right.
    """
    broker, state_dir = broker_from_environ(), state_dir_from_environ()
    answer: Future[Health | str] = Future()
    seen: list[Health] = []

    def ask() -> None:
        try:
            answer.set_result(_ask(broker, seen))
        except BaseException as error:
            answer.set_exception(error)

    # A daemon, for nothing bounds the resolution of a name, and the process must end meanwhile.
    threading.Thread(target=ask, daemon=True).start()
    try:
        found = answer.result(DEADLINE_S + _LOOK_AGAIN_S)
    except TimeoutError:
        if seen:  # it has answered; only the last look came too late
            return seen[-1]
        found = f"Redis has not answered for {DEADLINE_S:.0f} s"
    return found if isinstance(found, tuple) else _without_redis(found, broker, state_dir)


def _without_redis(words: str, broker: BrokerSettings, state_dir: str) -> Health:
    """Health where Redis cannot say who lives here."""
    if _lives_here(broker, state_dir):
        return True, f"{words}; the worker waits for it"
    place = place_of(broker.redis_url)
    return False, f"{words}, and no worker of this machine uses the queue {broker.queue} at {place}"


def _lives_here(broker: BrokerSettings, state_dir: str) -> bool:
    """Whether a worker of this queue lives here, or may do without an in-flight log."""
    of_queue, place = LogFolder.of_queue, place_of(broker.redis_url)
    folders = (Path(state_dir), _temporary())  # a worker uses the second one where the first cannot be
    found = [of_queue(folder, place, broker.queue).has_living() for folder in folders]
    return any(found) or set(found) == {None}


def _temporary() -> Path | None:
    try:
        return Path(tempfile.gettempdir())
    except OSError:
        return None


def _ask(broker: BrokerSettings, seen: list[Health]) -> Health | str:
    """What Redis says of the workers here; where it cannot, why not."""
    until = time.monotonic() + DEADLINE_S
    keys = KeyNames(broker.queue, broker.results)
    client = connect(broker.redis_url, connections=1)
    try:
        while True:
            if refused := refusals(client, keys):
                more = f", and {len(refused) - 1} more: aigc doctor" if len(refused) > 1 else ""
                words = f"Redis refuses writes ({refused[0]}{more})"
                return (True, f"{words}; the worker waits for it") if _known_here(client, keys) else words
            healthy, words = _of_workers(client, keys)
            # A Redis that has just come back knows only old beats: the next one of a living worker is due.
            if healthy is not None or time.monotonic() > until:
                return bool(healthy), words
            seen.append((False, words))
            time.sleep(_LOOK_AGAIN_S)
    except Away as error:
        return refusal(error) or f"Redis is away ({type(error).__name__})"


def _known_here(client: Any, keys: KeyNames) -> bool:
    """Whether Redis, which refuses something, knows a worker of this machine."""
    with suppress(*Away):
        identities = client.hvals(keys.identities)
        return any(process_identity.is_visible_here(identity.decode()) for identity in identities)
    return False


def _of_workers(client: Any, keys: KeyNames) -> tuple[bool | None, str]:
    """Health as Redis knows it; None where a moment later it may be better."""
    with client.pipeline(transaction=False) as pipe:
        pipe.time()
        for key in (keys.identities, keys.last_polls, keys.troubles):
            pipe.hgetall(key)
        pipe.smembers(keys.refused)
        (second, _), identities, last_polls, troubles, refused = pipe.execute()
    here = {
        owner: max(0.0, second - int(last_poll) / 1000)
        for owner, last_poll in last_polls.items()
        if process_identity.is_visible_here(identity := identities.get(owner, b"").decode())
        and not process_identity.is_gone(identity)  # killed, say: Redis knows it until another takes over
    }
    if not here:
        return False, "no worker of this machine consumes"
    if max(here.values()) > SILENCE_S:
        return None, f"a worker of this machine has not looked at the queue for {max(here.values()):.0f} s"
    count = len(here)
    words = [f"{count} worker{'s' * (count > 1)} of this machine consume{'s' * (count == 1)}"]
    words += [troubles[owner].decode("utf-8", "replace") for owner in here if owner in troubles]
    if any(owner in refused for owner in here):
        words.append("the vendor refuses its configuration: aigc status")
    return True, "; ".join(words)
