"""Tests of one module that do not touch each other, several under way at a time: most of each is waiting."""

from __future__ import annotations

import fcntl
import inspect
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import IO, Any, Final

import pytest

from tests.integration.stage import staged
from tests.main_thread import serve_until
from tests.redis_server import RedisServer

THREADS: Final = 3
PLACES: Final = 8
"""So many may be under way on a machine, in all processes: more would wait for its cores, not for time."""

ALL_WITHIN_S: Final = 400
"""The first one to be called waits for all of its module."""

_ended: Final[dict[str, Future[None]]] = {}


def at_once(test: Callable[..., None]) -> Callable[..., None]:
    """A test that runs in a thread beside the others of its module that are so.

    It sets nothing of the process, and its arguments are those it is parametrised with, no fixtures. It may
    ask for a `stage`: one with a Redis of its own. Its outcome is its own: pytest tells it where it calls it.
    """
    of_test = inspect.signature(test)
    is_staged = "stage" in of_test.parameters

    @wraps(test)
    def called(request: pytest.FixtureRequest, **params: Any) -> None:
        if request.node.nodeid not in _ended:
            _run_all_of_module(request)
        _ended[request.node.nodeid].result()

    def run(params: dict[str, Any]) -> None:
        with ExitStack() as stack:
            stack.enter_context(_place())
            if is_staged:
                server = stack.enter_context(RedisServer())
                params = {**params, "stage": stack.enter_context(staged(server))}
            test(**params)

    kept = [each for name, each in of_test.parameters.items() if name != "stage"]
    asks = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    called.__signature__ = of_test.replace(parameters=[asks, *kept])  # type: ignore[attr-defined]
    called.runs_at_once = run  # type: ignore[attr-defined]
    test_of_pytest: Callable[..., None] = pytest.mark.timeout(ALL_WITHIN_S)(called)
    return test_of_pytest


@contextmanager
def _place() -> Iterator[None]:
    """One of the places, which are locks on files: whatever happens to a process, it leaves them."""
    folder = Path(tempfile.gettempdir(), f"aigc-at-once-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        files = [stack.enter_context(Path(folder, str(number)).open("w")) for number in range(PLACES)]
        random.shuffle(files)
        if not any(map(_is_locked, files)):
            fcntl.flock(files[0], fcntl.LOCK_EX)
        yield


def _is_locked(file: IO[str]) -> bool:
    """Whether it is ours now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _run_all_of_module(request: pytest.FixtureRequest) -> None:
    """Those that pytest was asked for."""
    futures = dict[str, Future[None]]()
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for item in request.session.items:
                run = getattr(getattr(item, "function", None), "runs_at_once", None)
                if run and item.path == request.path:
                    params = item.callspec.params if hasattr(item, "callspec") else {}
                    futures[item.nodeid] = pool.submit(run, params)
            serve_until(futures.values())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    _ended.update(futures)
