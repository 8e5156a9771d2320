"""Pages of dead letters: newest first, each once, in bounded work, while others decide about them."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contract import Status
from tasks.result import Result
from tests.integration.desk import KEYS, Desk
from tests.redis_server import RedisServer
from worker.store import dead_letter_page
from worker.store.dead_letter_page import BadCursor, DeadLetterPage, Place, counts, page
from worker.store.dead_letters import DeadLetterFilter
from worker.store.keys import DEAD_LETTER_STATES

EVERYTHING = DeadLetterFilter()


@pytest.fixture
def desk(redis_server: RedisServer) -> Iterator[Desk]:
    made = Desk(redis_server)
    yield made
    made.scripts.close()


def add(desk: Desk, job_id: str, second: float, status: Status = "unknown", **fields: str) -> None:
    """A dead letter, without the job."""
    about = {"workflow": "TEXT2IMAGE", "error_code": "A", **fields}
    result = Result(
        job_id, status, None, about["workflow"], "1.0.0", 1, None, about["error_code"], "no", False, ""
    )
    desk.redis.zadd(KEYS.dead_letters(status), {job_id: second})
    desk.redis.hset(KEYS.dead_letter_results, job_id, result.to_json())


def remove(client: Any, job_id: str) -> None:
    for state in DEAD_LETTER_STATES:
        client.zrem(KEYS.dead_letters(state), job_id)
    client.hdel(KEYS.dead_letter_results, job_id)


def of(desk: Desk, cursor: str | None = None, most: int = 50, wanted: Any = EVERYTHING) -> DeadLetterPage:
    return page(desk.scripts, KEYS, wanted, cursor, most)


def ids(found: DeadLetterPage) -> list[str]:
    return [letter.result.job_id for letter in found.letters]


def all_pages(desk: Desk, most: int, wanted: Any = EVERYTHING) -> list[str]:
    """From the newest to the oldest."""
    found = of(desk, None, most, wanted)
    job_ids = ids(found)
    while found.older is not None:
        found = of(desk, found.older, most, wanted)
        job_ids += ids(found)
    return job_ids


def a_heap(desk: Desk, number: int, seconds: int, seed: int = 1) -> list[str]:
    """Of all three states, many of the same second; their ids, newest first."""
    rng, made = random.Random(seed), []
    for each in range(number):
        # Letters whose order differs between bytes and a person's alphabet.
        job_id = "".join(rng.choices("abAB-_09é", k=6)) + f"-{each}"
        second = 1000 + rng.randrange(seconds)
        add(desk, job_id, second, DEAD_LETTER_STATES[each % 3])
        made.append((second, job_id.encode()))
    return [job_id.decode() for _, job_id in sorted(made, reverse=True)]


@pytest.mark.parametrize(("seconds", "most"), [(1, 7), (5, 10), (1000, 50)])
def test_pages_have_each_once_newest_first(desk: Desk, seconds: int, most: int) -> None:
    """Of all states, also where all ended in the same second; those of one second by their ids' bytes."""
    expected = a_heap(desk, 120, seconds)
    assert all_pages(desk, most) == expected


def test_one_goes_back_the_way_one_came(desk: Desk) -> None:
    """And from the first page on there is nothing newer, until something ends."""
    expected = a_heap(desk, 50, 20)
    pages = [of(desk, most=20)]
    while pages[-1].older is not None:
        pages.append(of(desk, pages[-1].older, 20))
    assert [len(each.letters) for each in pages] == [20, 20, 10]
    back = of(desk, pages[2].newer, 20)
    assert ids(back) == ids(pages[1])
    first = of(desk, back.newer, 20)
    assert ids(first) == ids(pages[0]) == expected[:20]
    assert first.newer is None
    assert ids(of(desk, first.older, 20)) == ids(pages[1])
    add(desk, "new", 5000)
    assert ids(of(desk, pages[1].newer, 30))[0] == "new"


def test_a_letter_comes_with_its_request_ids(desk: Desk) -> None:
    """For the vendor's support; of real jobs."""
    result = desk.add_dead_letter("a-job")
    (letter,) = of(desk).letters
    assert letter.result.request_id == result.request_id
    assert letter.request_ids == (result.request_id,)


def test_pages_of_what_is_wanted(desk: Desk) -> None:
    """By state, workflow, code and time, bounds included."""
    for number in range(60):
        workflow = "TEXT2IMAGE" if number % 2 else "IMAGE2VIDEO"
        state = DEAD_LETTER_STATES[number % 3]
        add(desk, f"job-{number:02}", number, state, workflow=workflow, error_code=f"C{number % 5}")

    def wanted(**fields: Any) -> list[int]:
        return [int(job_id[4:]) for job_id in all_pages(desk, 4, DeadLetterFilter(**fields))]

    newest = range(59, -1, -1)
    assert wanted(states=("exhausted",)) == [n for n in newest if n % 3 == 1]
    assert wanted(states=("rejected", "unknown")) == [n for n in newest if n % 3 != 1]
    assert wanted(workflow="TEXT2IMAGE", code="C3") == [n for n in newest if n % 2 and n % 5 == 3]
    assert wanted(since_s=10, until_s=20) == list(range(20, 9, -1))
    assert wanted(since_s=10.5) == list(range(59, 10, -1))
    assert wanted(until_s=3, code="C1") == [1]
    assert wanted(code="none") == []
    middle = of(desk, None, 4, DeadLetterFilter(since_s=10, until_s=20))
    second = of(desk, middle.older, 4, DeadLetterFilter(since_s=10, until_s=20))
    back = of(desk, second.newer, 50, DeadLetterFilter(since_s=10, until_s=20))
    assert ids(back) == ids(middle)
    assert back.newer is None


@pytest.mark.parametrize(
    "words", ["", "\N{HANGUL SYLLABLE GAG}", 'a"b\\c\n\t/\x01\x7f', "\N{GRINNING FACE}", "NaN"]
)
def test_a_code_of_any_characters_is_found(desk: Desk, words: str) -> None:
    """It is the vendor's, or comes from a proxy, and is kept as JSON; also beside other such text."""
    add(desk, "a-job", 1, workflow="\N{HANGUL SYLLABLE GAG}", error_code=words)
    add(desk, "another", 2, error_code="another")
    assert all_pages(desk, 4, DeadLetterFilter(code=words)) == ["a-job"]


def test_a_filter_that_matches_almost_nothing_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page says how many it has looked at, and from where to go on."""
    monkeypatch.setattr(dead_letter_page, "LOOK_MOST", 100)
    monkeypatch.setattr(dead_letter_page, "_READ", 30)
    for number in range(250):
        add(desk, f"job-{number:03}", number, error_code="B" if number == 10 else "A")
    rare = DeadLetterFilter(code="B")
    looks = [of(desk, None, 5, rare)]
    while looks[-1].older is not None:
        looks.append(of(desk, looks[-1].older, 5, rare))
    assert [each.looked_at for each in looks] == [100, 100, 50]
    assert [each.is_cut for each in looks] == [True, True, False]
    assert [ids(each) for each in looks] == [[], [], ["job-010"]]
    up = of(desk, looks[2].newer, 5, rare)
    assert (ids(up), up.looked_at, up.is_cut) == ([], 100, True)
    assert of(desk, up.newer, 5, rare).is_cut
    assert of(desk, of(desk, up.newer, 5, rare).newer, 5, rare).newer is None


def test_a_place_stays_though_its_letter_is_gone(desk: Desk) -> None:
    """The last one of a page is decided about before one turns it."""
    expected = a_heap(desk, 40, 3)
    first = of(desk, most=10)
    for job_id in expected[5:15]:
        remove(desk.redis, job_id)
    assert ids(of(desk, first.older, 10)) == expected[15:25]


def test_pages_while_others_decide(desk: Desk, redis_server: RedisServer) -> None:
    """Letters go and come all the time: those that stay are each seen once, in order."""
    expected = a_heap(desk, 400, 8)
    stay = expected[::2]
    go, stopped = [*expected[1::2]], threading.Event()
    client = redis_server.client()
    random.Random(3).shuffle(go)

    def decide() -> None:
        number = 0
        while go and not stopped.is_set():
            remove(client, go.pop())
            add(desk, f"new-{number}", 9000 + number)
            number += 1

    others = threading.Thread(target=decide)
    others.start()
    seen = all_pages(desk, 6)
    stopped.set()
    others.join()
    assert [job_id for job_id in seen if job_id in set(stay)] == stay
    assert len(seen) == len(set(seen))


def test_what_cannot_be_read_is_passed_over(desk: Desk) -> None:
    """Results of a later version, none, and those of another state under the same id."""
    add(desk, "good", 3)
    add(desk, "newer", 2)
    text = desk.redis.hget(KEYS.dead_letter_results, "newer")
    desk.redis.hset(KEYS.dead_letter_results, "newer", text.replace(b'"schema":1', b'"schema":99'))
    desk.redis.zadd(KEYS.dead_letters("rejected"), {"gone": 5, "good": 1})
    found = of(desk)
    assert (ids(found), found.looked_at) == (["good"], 4)


def test_counts_of_each_state(desk: Desk) -> None:
    """For the page's head."""
    a_heap(desk, 7, 3)
    assert counts(desk.scripts, KEYS) == {"unknown": 3, "exhausted": 2, "rejected": 2}


@given(st.sampled_from(["older", "newer"]), st.floats(-1e12, 1e12), st.text(max_size=200))
def test_a_cursor_is_read_as_it_was_written(side: Any, second: float, job_id: str) -> None:
    """And stands in a URL as it is."""
    place = Place(side, repr(second), job_id)
    assert Place.of(place.cursor()) == place
    assert place.cursor().replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: raw.hex()))
def test_what_is_no_cursor_is_told(text: str) -> None:
    """It comes from an address bar."""
    with pytest.raises(BadCursor, match="cursor: must be one that a page has given"):
        Place.of(text)


@pytest.mark.parametrize(
    "place",
    [("older", "nan", "a"), ("older", "+inf", "a"), ("up", "1", "a"), ("older", "1", "a" * 201),
     ("older", "1e", "a"), ("older", "1", 5)],
)  # fmt: skip
def test_a_place_that_cannot_be_is_told(place: tuple[Any, ...]) -> None:
    """Nothing of it reaches Redis."""
    with pytest.raises(BadCursor):
        Place.of(Place(*place).cursor())
