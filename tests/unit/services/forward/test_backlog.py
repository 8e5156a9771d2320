"""The backlog: which message goes next, and the order of each job's."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from worker.services.forward.backlog import Backlog, Item
from worker.store.forward_values import Stream, WebhookRetry


def item(entry: int, job: str = "j", stream: Stream = "results", due_ms: int = 0) -> Item:
    return Item(WebhookRetry(stream, f"{entry}-0", job, due_ms=due_ms))


def later(item: Item, due_ms: int) -> WebhookRetry:
    return replace(item.retry, attempts=item.retry.attempts + 1, first_ms=0, due_ms=due_ms)


def test_a_jobs_later_message_waits_for_its_earlier_one() -> None:
    """While that is in flight, and while it waits to be sent again; others go on."""
    backlog = Backlog()
    first, second, other = item(1), item(2, stream="outputs"), item(3, "other")
    for each in (second, first, other):
        assert backlog.add(each)
    assert (backlog.take(0), backlog.take(0), backlog.take(0)) == (first, other, None)
    backlog.put_back(first, later(first, 100))
    assert (backlog.take(99), backlog.next_due_ms()) == (None, 100)
    assert backlog.take(100) is first
    backlog.remove(first)
    assert backlog.take(100) is second


def test_one_that_is_put_back_as_it_was_is_taken_again() -> None:
    """Where it could not be sent, for its text was not to be had."""
    backlog = Backlog()
    first = item(1)
    backlog.add(first)
    for _ in range(3):
        assert backlog.take(0) is first
        assert backlog.take(0) is None
        backlog.put_back(first, first.retry)


def test_a_result_goes_before_the_output_of_the_same_moment() -> None:
    """As they are published."""
    backlog = Backlog()
    output, result = item(1, stream="outputs"), item(1)
    backlog.add(output)
    backlog.add(result)
    assert backlog.take(0) is result


def test_what_is_here_is_not_taken_in_twice() -> None:
    """Nor while it is in flight."""
    backlog = Backlog()
    first = item(1)
    assert backlog.add(first)
    assert backlog.take(0) is first
    assert not backlog.add(item(1))
    assert len(backlog) == 1
    backlog.remove(first)
    assert backlog.add(item(1))


def test_an_older_one_that_a_replay_brings_waits_for_the_one_in_flight() -> None:
    """Then it goes first."""
    backlog = Backlog()
    second, third = item(2), item(3)
    backlog.add(second)
    backlog.add(third)
    assert backlog.take(0) is second
    first = item(1)
    backlog.add(first)
    assert backlog.take(0) is None
    backlog.put_back(second, later(second, 0))
    assert backlog.take(0) is first


def test_a_probe_is_an_untried_one_else_the_one_that_is_due_first() -> None:
    """Whenever it is due, but never one whose job has another in flight."""
    backlog = Backlog()
    tried, soon, fresh = item(1, "a"), item(2, "b"), item(3, "c")
    for each, due in ((tried, 900), (soon, 500)):
        backlog.add(each)
        assert backlog.take(0) is each
        backlog.put_back(each, later(each, due))
    assert backlog.take_probe(untried_only=True) is None
    backlog.add(fresh)
    assert backlog.take_probe(untried_only=False) is fresh
    assert backlog.take_probe(untried_only=False) is soon
    assert backlog.take_probe(untried_only=False) is tried
    assert backlog.take_probe(untried_only=False) is None


def test_after_an_outage_all_that_waits_is_due() -> None:
    """In order, and what is in flight stays so."""
    backlog = Backlog()
    for number in range(3):
        each = item(number, str(number))
        backlog.add(each)
        backlog.take(0)
        backlog.put_back(each, later(each, 10_000))
    flying = item(9, "9")
    backlog.add(flying)
    backlog.take(0)
    backlog.release(50)
    taken = [backlog.take(50) for _ in range(4)]
    assert [each and each.retry.entry_id for each in taken] == ["0-0", "1-0", "2-0", None]


def test_the_position_is_that_of_what_only_the_group_knows() -> None:
    """What is kept as a retry would not be lost with the group."""
    backlog = Backlog()
    kept, first = item(1, "a"), item(2, "b")
    kept.is_kept = True
    for each in (kept, first, item(3, "c"), item(1, "d", "outputs")):
        backlog.add(each)
    assert (backlog.oldest_untried("results"), backlog.oldest_untried("outputs")) == ("2-0", "1-0")


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=40))
def test_each_jobs_messages_are_finished_in_order(entries: list[tuple[int, bool]]) -> None:
    """Whatever fails how often, every message is finished once."""
    backlog, done = Backlog(), list[Item]()
    for number, (job, _) in enumerate(entries):
        backlog.add(item(number, str(job)))
    fails = {f"results:{number}-0": fails for number, (_, fails) in enumerate(entries)}
    now = 0
    while len(backlog):
        now += 10
        flying = []
        while (each := backlog.take(now)) is not None:
            flying.append(each)
        assert len({each.retry.job for each in flying}) == len(flying)
        for each in flying:
            if fails.pop(each.key, False):
                backlog.put_back(each, later(each, now + 25))
            else:
                backlog.remove(each)
                done.append(each)
    for name in {each.retry.job for each in done}:
        order = [each.order for each in done if each.retry.job == name]
        assert order == sorted(order)
    assert len(done) == len(entries)
