"""Whatever comes back, by generated examples: never an exception, never a purchase that is overlooked."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.replies import AUTH, NOW_DATE, PARAM, SYS, answer, of
from worker.domain.outcome import OutcomeKind, Reply, classify

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


envelopes = st.fixed_dictionaries(
    {},
    optional={
        "success": st.booleans() | json_values,
        "model": json_values,
        "errorCode": st.sampled_from([SYS, PARAM + ":", AUTH]) | json_values,
        "errorMsg": json_values,
    },
)


bodies = st.binary() | st.builds(lambda value: json.dumps(value).encode(), json_values | envelopes)


replies = st.builds(
    Reply,
    st.integers(-1, 1000),
    bodies,
    st.none() | st.text() | st.sampled_from(["0", NOW_DATE, "Mon, 99 Foo 0000 99:99:99 +9999"]),
    st.none() | st.text() | st.sampled_from([NOW_DATE, "Mon, 01 Jan 0001 00:00:00 +2359"]),
    st.booleans(),
)


@given(reply=replies, now=st.none() | st.floats(0, 4e9))
def test_no_answer_makes_classify_raise(reply: Reply, now: float | None) -> None:
    """Any bytes with any headers make an outcome whose texts are bounded and whose numbers are sane."""
    outcome = classify(reply, now=now)
    assert (outcome.kind is OutcomeKind.ACCEPTED) == (outcome.task_id is not None)
    assert (outcome.kind is OutcomeKind.ACCEPTED) == (outcome.error_code is None)
    assert 0 <= (outcome.retry_after_s or 0) <= 86_400
    f"{outcome.task_id}{outcome.error_code}{outcome.error_msg}{outcome.excerpt}".encode()
    assert (outcome.excerpt is not None) == (outcome.kind is OutcomeKind.UNKNOWN and reply.body != b"")
    assert len(outcome.excerpt or "") <= 500
    assert (outcome.excerpt or "").isprintable()


true_ish = st.sampled_from([True, 1, 1.0, 2, "true", "True", "TRUE", " true", "1", "yes", "ok", "success"])


task_ish = json_values.filter(lambda model: model is not None and model is not False and model != "")


@given(
    success=true_ish,
    model=task_ish,
    others=st.dictionaries(st.text(), json_values),
    status=st.integers(-1, 1000),
    around=st.tuples(
        st.sampled_from([b"", b"\xef\xbb\xbf", b"x("]), st.sampled_from([b"", b"\n", b")", b"\x00"])
    ),
    dump=st.fixed_dictionaries({"ensure_ascii": st.booleans(), "indent": st.none() | st.just(2)}),
)
def test_a_yes_that_names_a_task_is_never_retried_nor_given_up(
    success: Any, model: Any, others: dict[str, Any], status: int, around: tuple[bytes, bytes], dump: Any
) -> None:
    """Whatever stands around it, before it or beside it: accepted, or kept with what the vendor said."""
    text = json.dumps(others | {"success": success, "model": model}, **dump)
    outcome = of(status, around[0] + text.encode("utf-8", "surrogatepass") + around[1])
    assert outcome.kind in (OutcomeKind.ACCEPTED, OutcomeKind.UNKNOWN)
    assert outcome.task_id or outcome.excerpt


@given(
    cut=st.integers(0, 200),
    truncated=st.booleans(),
    status=st.sampled_from([200, 503]),
)
def test_no_prefix_of_an_acceptance_is_an_acceptance(cut: int, truncated: bool, status: int) -> None:
    """However an answer is cut short, it is Unknown once it says yes, never accepted and never refused."""
    body = answer(True, "28fdf560-249a-4712-adcc-906c0346602b")
    cut = min(cut, len(body) - 1) if status == 200 else 13 + cut % (len(body) - 13)
    outcome = of(status, body[:cut], truncated=truncated)
    assert outcome.kind is OutcomeKind.UNKNOWN
