"""How the sandbox's tasks live, what they make, and where that is for how long."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import imagesize
import pytest

from worker.dev.sandbox.files import file_of
from worker.dev.sandbox.kinds import ENDINGS
from worker.dev.sandbox.ledger import AUTH_REFUSED, Ledger, Post, QueryLog, Task
from worker.dev.sandbox.life import Life
from worker.dev.sandbox.links import FOLDER, link, refusal
from worker.dev.sandbox.rules import Script, in_body, parse
from worker.domain.query import FAILURE_STATUSES

WORKFLOWS = ("TEXT2IMAGE", "CATVTON", "IMAGE2VIDEO", "OF_OUR_OWN")


@pytest.mark.parametrize(
    ("age_s", "status"), [(0, "WAITING"), (1.9, "WAITING"), (2, "RUNNING"), (4.9, "RUNNING"), (5, "FC_ERROR")]
)
def test_a_task_waits_then_runs_then_ends(age_s: float, status: str) -> None:
    """By its age alone, whoever asks, and how often."""
    assert Life(2, 3, 60, "FC_ERROR").status(age_s) == status


def test_rules_say_how_a_task_lives() -> None:
    """The first that says something counts, and the rest stays as it was."""
    rules = [parse(text) for text in ("task_running(7)", "task_fc_error", "task_running(9)", "task_timeout")]
    assert Life(1, 2, 60).changed_by(rules) == Life(1, 7, 60, "FC_ERROR")
    assert Life(1, 2, 60).changed_by([parse("task_waiting"), parse("task_link_life(5)")]) == Life(0, 2, 5)
    assert Life(1, 2, 60).changed_by([]) == Life(1, 2, 60)


def test_each_failure_of_the_vendors_page_can_be_ordered() -> None:
    """By its name in lower case."""
    assert {Life().changed_by([parse(f"task_{kind}")]).ending for kind in ENDINGS} == FAILURE_STATUSES


def test_rules_of_all_targets_stand_in_a_prompt() -> None:
    """Each says itself what it is for."""
    text = b"a cat [[hang]] [[query_throttle(3)*1]][[file_cut*2]] [[task_running(2.5)]] [[query_waiting]]"
    assert [str(rule) for rule in in_body(text)] == [
        "hang", "query_throttle(3)*1", "file_cut*2", "task_running(2.5)",
    ]  # fmt: skip


def test_rules_of_two_targets_count_apart() -> None:
    """Though both are the first of theirs, and of one task."""
    script, key = Script(), b"task-1"
    rules = [[parse("query_throttle*1")], [parse("file_cut*1")]]
    assert [script.strike(each, key) for each in rules] == [rules[0][0], rules[1][0]]
    assert [script.strike(each, key) for each in rules] == [None, None]


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_file_is_real_and_its_tasks_alone(workflow: str) -> None:
    """The same each time, another for another task, and of the type that it says."""
    file = file_of(workflow, "task-1")
    assert file == file_of(workflow, "task-1")
    assert file.content != file_of(workflow, "task-2").content
    begins = {"png": b"\x89PNG\r\n\x1a\n", "jpg": b"\xff\xd8\xff", "mp4": b"\x00\x00\x00 ftypisom"}
    assert file.content.startswith(begins[file.extension])
    assert 500 < len(file.content) < 5000


@pytest.mark.parametrize("workflow", ["TEXT2IMAGE", "CATVTON"])
def test_a_picture_has_a_size(workflow: str, tmp_path: Path) -> None:
    """As a reader of pictures sees it."""
    path = tmp_path / "a"
    path.write_bytes(file_of(workflow, "task-1").content)
    assert imagesize.get(path, exif_rotation=False) == (96, 96)


def test_a_clip_has_its_boxes_in_order() -> None:
    """Type, index, data, and at the end what makes it its task's."""
    content, boxes, at = file_of("IMAGE2VIDEO", "task-1").content, [], 0
    while at < len(content):
        boxes.append(content[at + 4 : at + 8])
        at += int.from_bytes(content[at : at + 4], "big")
    assert (boxes[:2], boxes[-1], at) == ([b"ftyp", b"moov"], b"free", len(content))
    assert b"mdat" in boxes


def test_a_link_leads_to_its_file_until_it_expires() -> None:
    """Not from that moment on, and not with a letter of it changed."""
    url = urlsplit(link("http://127.0.0.1:1", "a/b", file_of("TEXT2IMAGE", "a/b"), 1000))
    name = url.path.removeprefix(FOLDER)
    assert name == "a%2Fb.png"
    assert refusal(name, url.query, 999.9) is None
    assert refusal(name, url.query, 1000) == "Request has expired."
    for changed in (
        url.query.replace("1000", "2000"),
        url.query.replace("Signature=", "Signature=A"),
        "",
        "Expires=x",
    ):
        assert refusal(name, changed, 0) == "SignatureDoesNotMatch"
    assert refusal("other.png", url.query, 0) == "SignatureDoesNotMatch"


def test_the_ledger_forgets_the_oldest_tasks() -> None:
    """However many come, so many are kept."""
    ledger, task = Ledger(10), Task("W", Life(), ())
    for number in range(1000):
        ledger.record(Post(float(number), "accepted", f"r-{number}", b"", f"t-{number}", None, task))
    assert len(ledger.posts) == 10
    assert [ledger.task(f"t-{number}") is None for number in (0, 989, 990, 999)] == [True, True, False, False]


def test_queries_are_counted_by_the_second_and_the_oldest_are_forgotten() -> None:
    """The busiest window need not begin with a second; a forged query uses no request id up."""
    log = QueryLog(5)
    for number, arrived in enumerate([1.0, 2.0, 10.4, 10.9, 11.2, 11.3, 12.5]):
        log.record(arrived, "answered", f"r-{number}")
    log.record(13.9, AUTH_REFUSED, "forged")
    assert log.to_json(1.0) == {
        "queries": 8,
        "by_outcome": {"answered": 7, AUTH_REFUSED: 1},
        "arrivals": [10.9, 11.2, 11.3, 12.5, 13.9],
        "per_second": {"10": 1, "11": 2, "12": 1, "13": 1},
        "busiest_window": 3,
    }
    assert log.has_seen("r-6")
    assert not log.has_seen("forged")
