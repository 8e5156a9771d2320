"""The sandbox's fault rules: a tiny language, its parser, and which rule strikes a given post.

A rule is ``kind``, ``kind(number)``, either followed by ``*N`` (the first N posts of each body),
``*always`` (the default) or ``:P%`` (that share of all posts)::

    sys_error*2     throttle(3)*1     hang:5%     html_502

A kind that begins with ``query_`` strikes queries, with ``file_`` the file that a task made, with ``task_``
it says how a task lives: ``query_throttle(3)*1``, ``task_running(2.5)``, ``task_fc_error:10%``.

Pure: no clock, no socket.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tasks.exceptions import AigcError
from worker.dev.sandbox.kinds import DEFAULT_ARGUMENTS, KINDS_OF, TAKES_ARGUMENT, FaultKind, Target

STRUCK_MAX: Final = 200_000
"""Of so many bodies and tasks it is remembered how often a rule with ``*N`` struck them."""

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

    kind: FaultKind
    argument: float | None = None
    times: int | None = None
    percent: float | None = None
    target: Target = Target.SUBMIT

    def __str__(self) -> str:
        text = self.target.value + self.kind.value
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
    target, kind = _kind_of(match["kind"])
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
        target,
    )


def _kind_of(name: str) -> tuple[Target, FaultKind]:
    target = next((each for each in Target if each and name.startswith(each)), Target.SUBMIT)
    try:
        kind = FaultKind(name.removeprefix(target))
    except ValueError:
        kind = None
    if kind not in KINDS_OF[target]:
        known = ", ".join(target + each for each in FaultKind if each in KINDS_OF[target])
        raise RuleError(f"unknown kind {name!r}: one of {known}")
    return target, kind


def of_target(target: Target, rules: Iterable[Rule]) -> list[Rule]:
    """Those of the rules that are for it, in order."""
    return [rule for rule in rules if rule.target is target]


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
    """Remembers how often each rule has struck each body or task, and says which one strikes now."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)
        self._struck: OrderedDict[tuple[bytes, Target, int], int] = OrderedDict()

    def strike(self, rules: Sequence[Rule], key: bytes) -> Rule | None:
        """The first rule, in order, that strikes this post, or None.

        Rules with ``*N`` come one after the other: ``sys_error*2`` then ``hang*1`` is two errors
        and a hang, then peace. A share is drawn anew for every post.

        Args:
            rules: those of one target.
            key: what ``*N`` counts by: of a post its body's hash, of a query or a file its task.
        """
        return next(self._striking(rules, key), None)

    def all_that_strike(self, rules: Sequence[Rule], key: bytes) -> list[Rule]:
        """Each of the rules that strikes, in order: those of a task say different things of it."""
        return list(self._striking(rules, key))

    def _striking(self, rules: Sequence[Rule], key: bytes) -> Iterator[Rule]:
        for index, rule in enumerate(rules):
            if rule.percent is not None:
                if self._random.random() * 100 < rule.percent:
                    yield rule
            elif rule.times is None:
                yield rule
            elif (times := self._struck.get((key, rule.target, index), 0)) < rule.times:
                self._struck[key, rule.target, index] = times + 1
                if len(self._struck) > STRUCK_MAX:
                    self._struck.popitem(last=False)
                yield rule
