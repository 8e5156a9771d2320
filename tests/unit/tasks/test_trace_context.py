"""The W3C's Trace Context, read without trust: what is none is none, and what is long is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.trace_context import (
    TRACESTATE_MAX_CHARS,
    TraceContext,
    bounded,
    found_in,
    headers_of,
    parsed,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (PARENT, PARENT),
        (f" {PARENT}\t", PARENT),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-03", f"00-{TRACE}-{SPAN}-03"),
        # Of a later version: what this one knows of it.
        (f"cc-{TRACE}-{SPAN}-ff", PARENT),
        (f"cc-{TRACE}-{SPAN}-01-what.ever", PARENT),
        (f"01-{TRACE}-{SPAN}-02", f"00-{TRACE}-{SPAN}-00"),
    ],
)
def test_a_traceparent_is_read_as_the_w3c_says(given: str, read: str) -> None:
    """Version 00 as it is; of a later one what it has in common with that."""
    assert parsed(given) == TraceContext(read)


@pytest.mark.parametrize(
    "given",
    [
        None, 7, {}, [PARENT], b"x", "", "00", PARENT.upper(), PARENT[:-1], f"{PARENT}0",
        f"{PARENT}-more", f"ff-{TRACE}-{SPAN}-01", f"0g-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{SPAN}-0g",
        f"00_{TRACE}_{SPAN}_01", f"00-{TRACE}-{SPAN}-01\n", f"cc-{TRACE}-{SPAN}-01-{'x' * 9000}",
    ],
)  # fmt: skip
def test_what_is_no_traceparent_is_none(given: object) -> None:
    """Then its tracestate is none either."""
    assert parsed(given, "shop=eu") is None


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("shop=eu", "shop=eu"),
        (" shop=eu ,\tother=1,,", "shop=eu,other=1"),
        ("tenant@vendor=a:b;c d", "tenant@vendor=a:b;c d"),
        (",".join(f"k{i}=1" for i in range(32)), ",".join(f"k{i}=1" for i in range(32))),
        (",".join(f"k{i}=1" for i in range(33)), ""),
        ("shop=eu,shop=us", ""),
        ("Shop=eu", ""),
        ("shop", ""),
        ("shop=", ""),
        ("shop=a=b", ""),
        ("shop=eu\n", ""),
        ("shop=é", ""),
        (7, ""),
        ("x" * 9000, ""),
    ],
)
def test_a_tracestate_is_read_as_the_w3c_says(given: object, read: str) -> None:
    """One that is none is left out by itself."""
    assert parsed(PARENT, given) == TraceContext(PARENT, read)


def test_a_long_tracestate_loses_long_members_first_and_then_the_last() -> None:
    """In this order, and only as far as it has to."""
    long, short = f"long={'x' * 200}", [f"k{i:02}={'x' * 40}" for i in range(12)]
    assert bounded(",".join([long, short[0]])) == f"{long},{short[0]}"
    cut = bounded(",".join([long, *short]))
    assert cut == ",".join(short[:11])
    assert len(cut) <= TRACESTATE_MAX_CHARS


@given(st.text(max_size=60) | st.just(PARENT), st.text(max_size=60))
def test_nothing_raises_and_what_is_read_is_read_again(traceparent: str, tracestate: str) -> None:
    """The headers that carry a context say the same context."""
    trace = parsed(traceparent, tracestate)
    assert found_in(headers_of(trace)) == trace
