"""The rules that ship with all of their durations divided: no test waits for a quarter of an hour."""

from __future__ import annotations

import re
from typing import Any, Final

FACTOR: Final = 30
"""15 minutes are 30 s, a window of 5 minutes has the samples of 10 s, and an hour is 2 minutes."""

LEAST_MS: Final = 1000
"""Nothing gets shorter than this: an answer of `aigc ui` may be a second old."""

UNSAID: Final = "1m"
"""How often Prometheus evaluates a group that says nothing, where nothing else says it."""

_UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"(\d+)(ms|[smhd])")
_WINDOW: Final = re.compile(r"\[([^\]]+)\]")


def shortened(rules: dict[str, Any], factor: int = FACTOR) -> dict[str, Any]:
    """A file of rules, read: how often they are evaluated, how long they must hold, their windows and steps.

    Thresholds stay as they are.
    """
    return {"groups": [_group(group, factor) for group in rules["groups"]]}


def _group(group: dict[str, Any], factor: int) -> dict[str, Any]:
    interval = _divided(group.get("interval", UNSAID), factor)
    return group | {"interval": interval, "rules": [_rule(rule, factor) for rule in group["rules"]]}


def _rule(rule: dict[str, Any], factor: int) -> dict[str, Any]:
    expression = _WINDOW.sub(lambda window: f"[{_divided(window[1], factor)}]", rule["expr"])
    holds = {"for": _divided(rule["for"], factor)} if "for" in rule else {}
    return rule | {"expr": expression} | holds


def _divided(durations: str, factor: int) -> str:
    """One duration, or a window and its step."""
    return _DURATION.sub(
        lambda each: f"{max(LEAST_MS, int(each[1]) * _UNITS_MS[each[2]] // factor)}ms", durations
    )
