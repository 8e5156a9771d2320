"""The outputs of all tasks: live with `listen`, durably with `consume`, or the whole stream with `replay`.

How they begin, wait and fail: `tasks.results`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Final

from ..output import Output
from ..reading.streams import Streams
from .feed import OUTPUTS

__all__ = ["AsyncOutputs", "Outputs", "aconsume", "alisten", "consume", "listen", "replay"]

Outputs = Generator[Output, None, None]
AsyncOutputs = AsyncGenerator[Output, None]

_STREAMS: Final = Streams(OUTPUTS)
listen, consume, replay = _STREAMS.listen, _STREAMS.consume, _STREAMS.replay
alisten, aconsume = _STREAMS.alisten, _STREAMS.aconsume
