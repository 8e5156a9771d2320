"""Cases of one module that do not touch each other, several under way at a time: most of each is waiting."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from tests.main_thread import serve_until

Case = TypeVar("Case")
T = TypeVar("T")


def at_once(
    request: pytest.FixtureRequest, parameter: str, run: Callable[[Case], T], threads: int = 4
) -> Callable[[Case], T]:
    """Run what the module's chosen tests have for this parameter, and tell of each what it returned or raised.

    Args:
        request: of a fixture of the module's.
        parameter: the name of the tests' argument that is the case.
        run: called with each case in a thread, so it sets nothing of the process and asks for no fixture.
        threads: so many cases are under way at a time.
    """
    of_module = [item for item in request.session.items if item.path == request.path]
    params = [item.callspec.params for item in of_module if hasattr(item, "callspec")]
    cases = dict.fromkeys(each[parameter] for each in params if parameter in each)
    with ThreadPoolExecutor(threads) as pool:
        try:
            futures = {case: pool.submit(run, case) for case in cases}
            serve_until(futures.values())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return lambda case: futures[case].result()
