"""The sandbox's rule language and the order in which rules strike."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.dev.sandbox.kinds import KINDS_OF, TAKES_ARGUMENT, FaultKind, Target
from worker.dev.sandbox.ledger import busiest
from worker.dev.sandbox.rules import Rule, RuleError, Script, in_body, parse

thousandths = st.integers(min_value=0, max_value=999_999).map(lambda n: n / 1000)


@st.composite
def any_rule(draw: st.DrawFn) -> Rule:
    target = draw(st.sampled_from(Target))
    kind = draw(st.sampled_from(sorted(KINDS_OF[target])))
    argument = draw(st.none() | thousandths) if kind in TAKES_ARGUMENT else None
    times, percent = draw(
        st.one_of(
            st.just((None, None)),
            st.tuples(st.integers(0, 999_999), st.none()),
            st.tuples(st.none(), thousandths.map(lambda n: n / 10)),
        )
    )
    return Rule(kind, argument, times, None if percent is None else round(percent, 3), target)


@given(any_rule())
def test_every_rule_is_read_back_from_its_text(rule: Rule) -> None:
    """What a rule prints is what parses to it."""
    assert parse(str(rule)) == rule


@given(st.text() | any_rule().map(str).flatmap(lambda text: st.text().map(lambda tail: text + tail)))
def test_any_text_is_a_rule_or_a_rule_error(text: str) -> None:
    """Parsing never fails in another way than RuleError."""
    try:
        rule = parse(text)
    except RuleError:
        return
    assert rule == parse(str(rule))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("sys_error*2", Rule(FaultKind.SYS_ERROR, times=2)),
        ("sys_error", Rule(FaultKind.SYS_ERROR)),
        ("sys_error*always", Rule(FaultKind.SYS_ERROR)),
        ("hang:5%", Rule(FaultKind.HANG, percent=5.0)),
        ("throttle(3)*1", Rule(FaultKind.THROTTLE, 3.0, times=1)),
        (" slow(12.5):0.1% ", Rule(FaultKind.SLOW, 12.5, percent=0.1)),
    ],
)
def test_the_documented_forms(text: str, rule: Rule) -> None:
    """Each form of the language means what docs/sandbox.md says."""
    assert parse(text) == rule


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "is not a rule"),
        ("sys_err", "unknown kind 'sys_err': one of sys_error,"),
        ("reset(3)", "takes no argument"),
        ("hang:101%", "at most 100%"),
        ("hang*2:5%", "is not a rule"),
        ("hang*-1", "is not a rule"),
        ("hang*\N{FULLWIDTH DIGIT TWO}", "is not a rule"),
    ],
)
def test_a_wrong_rule_says_what_is_wrong(text: str, hint: str) -> None:
    """The error names the mistake."""
    with pytest.raises(RuleError, match=hint):
        parse(text)


def test_rules_in_a_body_are_found_and_brackets_of_a_prompt_are_not() -> None:
    """Only well-formed rules of known kinds count; every other ``[[…]]`` is the customer's text."""
    prompt = "a [[cat]] [[sys_error*2]] on [[1, 2]] [[[reset]]] [[throttle(3)*1]] [[hang"
    body = json.dumps({"inputText": prompt, "matrix": [[1], [2]]}).encode()
    assert [str(rule) for rule in in_body(body)] == ["sys_error*2", "reset", "throttle(3)*1"]


def test_counted_rules_follow_each_other_for_each_body_by_itself() -> None:
    """Two errors, one hang, then peace; another body starts from the beginning."""
    rules, script = [parse("sys_error*2"), parse("hang*1")], Script()
    seen = [script.strike(rules, b"one") for _ in range(4)]
    assert [rule and rule.kind for rule in seen] == [
        FaultKind.SYS_ERROR,
        FaultKind.SYS_ERROR,
        FaultKind.HANG,
        None,
    ]
    assert script.strike(rules, b"two") == rules[0]


@given(seed=st.integers(), percent=st.sampled_from([0.0, 100.0]))
def test_a_share_of_none_and_of_all_is_exact(seed: int, percent: float) -> None:
    """0% never strikes and 100% always does, whatever the seed."""
    rule, script = Rule(FaultKind.RESET, percent=percent), Script(seed)
    assert {script.strike([rule], b"") for _ in range(50)} == ({rule} if percent else {None})


def test_a_share_is_kept_and_repeatable() -> None:
    """About 5% of many posts are struck, the same ones again with the same seed."""
    rule = parse("hang:5%")

    def struck(seed: int) -> list[bool]:
        script = Script(seed)
        return [script.strike([rule], b"") is not None for _ in range(10_000)]

    assert struck(1) == struck(1) != struck(2)
    assert 400 < sum(struck(1)) < 600


@given(
    st.lists(st.floats(0, 100, allow_nan=False), max_size=60).map(sorted), st.sampled_from([0.5, 1.0, 7.0])
)
def test_the_busiest_window_is_what_counting_by_hand_finds(times: list[float], window_s: float) -> None:
    """The sliding window agrees with the definition."""
    by_hand = [sum(1 for other in times if start <= other and other - start < window_s) for start in times]
    assert busiest(times, window_s) == max(by_hand, default=0)
