"""The results of all jobs: live with `listen`, durably with `consume`, or the whole stream with `replay`.

How they begin, wait and fail: `tasks.results`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Final

from ..reading.streams import Streams
from ..result import Result
from .feed import RESULTS

__all__ = ["AsyncResults", "Results", "aconsume", "alisten", "consume", "listen", "replay"]

Results = Generator[Result, None, None]
AsyncResults = AsyncGenerator[Result, None]

_STREAMS: Final = Streams(RESULTS)
listen, consume, replay = _STREAMS.listen, _STREAMS.consume, _STREAMS.replay
alisten, aconsume = _STREAMS.alisten, _STREAMS.aconsume
