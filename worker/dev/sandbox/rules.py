"""The sandbox's fault rules: a tiny language, its parser, and which rule strikes a given post.

A rule is ``kind``, ``kind(number)``, either followed by ``*N`` (the first N posts of each body),
``*always`` (the default) or ``:P%`` (that share of all posts)::

    sys_error*2     throttle(3)*1     hang:5%     html_502

Pure: no clock, no socket.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from tasks.exceptions import AigcError


class Kind(StrEnum):
    """What the sandbox can do to a post instead of accepting it properly."""

    SYS_ERROR = "sys_error"
    SYS_ERROR_500 = "sys_error_500"
    PARAM_ERROR = "param_error"
    COLON = "colon"
    AUTH_ERROR = "auth_error"
    NOT_FOUND = "not_found"
    UNKNOWN_CODE = "unknown_code"
    LOWER_CASE = "lower_case"
    STATUS = "status"
    THROTTLE = "throttle"
    BUSY = "busy"
    HTML_502 = "html_502"
    HTML_504 = "html_504"
    REDIRECT = "redirect"
    HANG_BEFORE = "hang_before"
    RESET = "reset"
    HANG = "hang"
    RESET_AFTER_ACCEPT = "reset_after_accept"
    GARBAGE = "garbage"
    CUT = "cut"
    ACCEPTED_STATUS = "accepted_status"
    BOM = "bom"
    NO_TASK_ID = "no_task_id"
    NUMBER_TASK_ID = "number_task_id"
    NESTED_TASK_ID = "nested_task_id"
    LONG_TASK_ID = "long_task_id"
    TRAILING = "trailing"
    TEXT_SUCCESS = "text_success"
    CONTRADICTION = "contradiction"
    SYS_ERROR_WITH_TASK_ID = "sys_error_with_task_id"
    PARAM_ERROR_WITH_TASK_ID = "param_error_with_task_id"
    AUTH_ERROR_WITH_TASK_ID = "auth_error_with_task_id"
    HUGE = "huge"
    SLOW = "slow"
    DRIP = "drip"


SAID_ODDLY: Final = frozenset(
    {
        Kind.ACCEPTED_STATUS,
        Kind.BOM,
        Kind.NO_TASK_ID,
        Kind.NUMBER_TASK_ID,
        Kind.NESTED_TASK_ID,
        Kind.LONG_TASK_ID,
        Kind.TRAILING,
        Kind.TEXT_SUCCESS,
        Kind.CONTRADICTION,
        Kind.SYS_ERROR_WITH_TASK_ID,
        Kind.PARAM_ERROR_WITH_TASK_ID,
        Kind.AUTH_ERROR_WITH_TASK_ID,
    }
)
"""Kinds that accept the job and say so in a way of their own, with any HTTP status."""

BILLED: Final = SAID_ODDLY | frozenset(
    {
        Kind.HTML_504,
        Kind.HANG,
        Kind.RESET_AFTER_ACCEPT,
        Kind.GARBAGE,
        Kind.CUT,
        Kind.HUGE,
        Kind.SLOW,
        Kind.DRIP,
    }
)
"""Kinds that accept the job, so it costs money, and spoil only the answer."""

DEFAULT_ARGUMENTS: Final = {
    **dict.fromkeys(SAID_ODDLY, 200.0),
    Kind.ACCEPTED_STATUS: 500.0,
    Kind.CUT: 200.0,
    Kind.STATUS: 405.0,
    Kind.HANG: 600.0,
    Kind.HANG_BEFORE: 600.0,
    Kind.REDIRECT: 302.0,
    Kind.HUGE: 64.0,
    Kind.SLOW: 1000.0,
    Kind.DRIP: 1.0,
}
"""Argument of a kind where the rule names none; see docs/sandbox.md for its unit."""

TAKES_ARGUMENT: Final = frozenset(DEFAULT_ARGUMENTS) | {Kind.THROTTLE, Kind.BUSY, Kind.UNKNOWN_CODE}

_NUMBER: Final = r"[0-9]{1,6}(?:\.[0-9]{1,3})?"
_RULE: Final = re.compile(
    rf"(?P<kind>[a-z][a-z0-9_]*)(?:\((?P<argument>{_NUMBER})\))?"
    rf"(?:\*(?P<times>[0-9]{{1,6}}|always)|:(?P<percent>{_NUMBER})%)?"
)
_IN_BODY: Final = re.compile(rb"\[\[([a-z][a-z0-9_().*:%]{0,60})\]\]")


class RuleError(AigcError, ValueError):
    """The text is not a rule."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One fault and when it strikes; with neither ``times`` nor ``percent`` it always does."""

    kind: Kind
    argument: float | None = None
    times: int | None = None
    percent: float | None = None

    def __str__(self) -> str:
        text = self.kind.value
        if self.argument is not None:
            text += f"({_plain(self.argument)})"
        if self.times is not None:
            text += f"*{self.times}"
        if self.percent is not None:
            text += f":{_plain(self.percent)}%"
        return text

    @property
    def amount(self) -> float:
        """The argument, or the kind's default (0 where it has none)."""
        return DEFAULT_ARGUMENTS.get(self.kind, 0.0) if self.argument is None else self.argument


def _plain(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")


def parse(text: str) -> Rule:
    """Read one rule.

    Raises:
        RuleError: the text is no rule, and how it should look.
    """
    match = _RULE.fullmatch(text.strip())
    if match is None:
        raise RuleError(f"{text!r} is not a rule: write kind, kind(number), kind*N, kind*always or kind:P%")
    try:
        kind = Kind(match["kind"])
    except ValueError:
        raise RuleError(f"unknown kind {match['kind']!r}: one of {', '.join(Kind)}") from None
    argument, times, percent = match["argument"], match["times"], match["percent"]
    if argument is not None and kind not in TAKES_ARGUMENT:
        raise RuleError(f"{kind} takes no argument, got {text!r}")
    if percent is not None and float(percent) > 100:
        raise RuleError(f"a share is at most 100%, got {text!r}")
    return Rule(
        kind,
        None if argument is None else float(argument),
        None if times in (None, "always") else int(times),
        None if percent is None else float(percent),
    )


def in_body(body: bytes) -> list[Rule]:
    """The rules written as ``[[rule]]`` anywhere in a body; what is not a rule is just a prompt."""
    rules = []
    for text in _IN_BODY.findall(body):
        try:
            rules.append(parse(text.decode("ascii")))
        except RuleError:
            continue
    return rules


class Script:
    """Remembers how often each rule has struck each body, and says which one strikes now."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)
        self._struck: Counter[tuple[bytes, int]] = Counter()

    def strike(self, rules: Sequence[Rule], body_key: bytes) -> Rule | None:
        """The first rule, in order, that strikes this post, or None.

        Rules with ``*N`` come one after the other: ``sys_error*2`` then ``hang*1`` is two errors
        and a hang, then peace. A share is drawn anew for every post.
        """
        for index, rule in enumerate(rules):
            if rule.percent is not None:
                if self._random.random() * 100 < rule.percent:
                    return rule
            elif rule.times is None:
                return rule
            elif self._struck[body_key, index] < rule.times:
                self._struck[body_key, index] += 1
                return rule
        return None
