"""A W3C Trace Context: which trace a job belongs to, and under which of its spans. Read without trust. Pure.

It is carried as text: a program, or a worker, that knows nothing of OpenTelemetry hands it on all the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from .frozen import value

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
"""Both are named so in HTTP, in the headers of a Celery message, and in results and outputs."""

TRACEPARENT_PATTERN: Final = r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
TRACESTATE_MAX_CHARS: Final = 512
"""What everybody has to carry at least, by the W3C; here it is the most, too."""

_LONG_MEMBER_CHARS: Final = 128
_MEMBERS_MOST: Final = 32
# Beyond version 00 more may follow, after a dash. 00 with more, and ff, are none.
_PARENT: Final = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-"
    r"(?P<ids>(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16})-"
    r"(?P<flags>[0-9a-f]{2})(?P<rest>-[!-~]*)?"
)
_MEMBER: Final = re.compile(r"([a-z0-9][a-z0-9_\-*/@]{0,255})=[ -+\--<>-~]{0,255}[!-+\--<>-~]")
_SAMPLED: Final = 1
_TEXT_MOST: Final = 8192


@value(frozen=True, slots=True)
class TraceContext:
    """`traceparent` as version 00 has it; `tracestate` is "" where there is none."""

    traceparent: str
    tracestate: str = ""


def parsed(traceparent: object, tracestate: object = None) -> TraceContext | None:
    """The context that these two say; None where the first one is none, for then the W3C has both ignored.

    A `tracestate` that is none is left out by itself. Never raises: what is wrong here must not harm a job.
    """
    if not isinstance(traceparent, str) or len(traceparent) > _TEXT_MOST:
        return None
    found = _PARENT.fullmatch(traceparent.strip(" \t"))
    if found is None:
        return None
    flags = found["flags"]
    if found["version"] == "00":
        if found["rest"] is not None:
            return None
    else:
        flags = f"{int(flags, 16) & _SAMPLED:02x}"  # what the others mean in that version nobody knows here
    return TraceContext(f"00-{found['ids']}-{flags}", bounded(tracestate))


def bounded(tracestate: object) -> str:
    """A `tracestate` without its blanks, and short enough to be carried; "" where it is none."""
    if not isinstance(tracestate, str) or not tracestate or len(tracestate) > _TEXT_MOST:
        return ""
    members = [member for each in tracestate.split(",") if (member := each.strip(" \t"))]
    keys = [found[1] for each in members if (found := _MEMBER.fullmatch(each))]
    if len(members) > _MEMBERS_MOST or len(set(keys)) < len(members):
        return ""
    if _length(members) > TRACESTATE_MAX_CHARS:  # in the order that the W3C names: long ones, then the last
        members = [each for each in members if len(each) <= _LONG_MEMBER_CHARS]
    while _length(members) > TRACESTATE_MAX_CHARS:
        members.pop()
    return ",".join(members)


def _length(members: list[str]) -> int:
    return sum(map(len, members)) + max(0, len(members) - 1)


def found_in(headers: Mapping[str, Any]) -> TraceContext | None:
    """The context that headers carry; None where they carry none."""
    traceparent = headers.get(TRACEPARENT)
    return None if traceparent is None else parsed(traceparent, headers.get(TRACESTATE))


def headers_of(trace: TraceContext | None) -> dict[str, str]:
    """The headers that carry a context; none where there is none."""
    if trace is None:
        return {}
    if not trace.tracestate:
        return {TRACEPARENT: trace.traceparent}
    return {TRACEPARENT: trace.traceparent, TRACESTATE: trace.tracestate}
