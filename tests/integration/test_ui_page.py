"""The operators' page over HTTP: what it shows, and what it lets nobody do."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import requests

import tasks
from tasks.contract import DEFAULT_OUTPUTS, OUTPUT_FIELD
from tasks.output import Output
from tests.conditions import until
from tests.integration.desk import Desk
from tests.integration.ui_service import Start, UiService
from tests.integration.ui_visitor import Visitor, text_of
from tests.redis_server import RedisServer
from tests.unit.tasks.samples import text_to_image

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def put_output(desk: Desk, **changes: Any) -> None:
    nothing = dict.fromkeys(("url", "file", "sha256", "bytes", "content_type"))
    about: dict[str, Any] = {
        "job_id": "job-a", "task_id": "task-a", "status": "succeeded", "vendor_status": "SUCCEEDED",
        "workflow": "TEXT2IMAGE", "version": "1.0.0", "finished_at": "2026-11-22T22:31:33.123Z",
    }  # fmt: skip
    desk.redis.xadd(DEFAULT_OUTPUTS, {OUTPUT_FIELD: Output(**{**nothing, **about, **changes}).to_json()})


def test_it_shows_the_queue(desk: Desk, start: Start, redis_server: RedisServer) -> None:
    """State, workers, money, dead letters, batches, outputs: on one page, without a script."""
    desk.add_dead_letter("held-1")
    tasks.configure(redis_url=redis_server.url)
    list(tasks.submit_many([text_to_image()] * 3, batch="nightly"))
    put_output(desk, url="https://files.example/a.png?sig=1")
    put_output(desk, task_id="task-b", file="s3://shop/b.png", content_type="image/png", bytes=1200)
    page = Visitor(start()).get()
    told = text_of(page)
    for words in (
        "No worker consumes; 3 jobs wait.",
        "1 job is held: it may or may not have been bought",
        "does not look at the queue",
        "0 of 1 post",
        "held-1 unknown TEXT2IMAGE AIGC_READ_TIMEOUT no",
        "nightly open 0 of 3",
        "kept: s3://shop/b.png",
        "image/png, 1,200 bytes",
    ):
        assert words in told
    assert '<img src="https://files.example/a.png?sig=1"' in page.text
    assert page.text.count("<svg") >= 6


def test_nothing_but_its_own_script_can_run(start: Start) -> None:
    """Each page tells the browser so, and that nobody may frame it; no page has script or style in it."""
    visitor = Visitor(start())
    for path in ("/", "/login", "/dead-letters/none", "/decisions/none", "/nowhere"):
        answer = visitor.get(path)
        parts = answer.headers["content-security-policy"].split(";")
        policy = dict(part.strip().split(" ", 1) for part in parts)
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?! src=)", answer.text)
    for name, kind in (("ui.css", "text/css"), ("ui.js", "javascript"), ("icon.svg", "image/svg+xml")):
        answer = visitor.get(f"/static/{name}")
        assert (answer.status_code, kind in answer.headers["content-type"]) == (200, True)
    assert visitor.get("/static/%2e%2e/app.py").status_code == 404


def test_what_strangers_write_is_text(desk: Desk, start: Start) -> None:
    """Ids, workflows, codes, vendor's words, payloads, and what stands in the address."""
    desk.add_dead_letter(HOSTILE, workflow=HOSTILE, code=HOSTILE)
    put_output(desk, task_id=HOSTILE, job_id=HOSTILE, url="javascript:alert(1)", vendor_status=HOSTILE)
    desk.aigc("pause", "--workflow", HOSTILE)
    visitor = Visitor(start())
    page = visitor.get(params={"workflow": HOSTILE, "code": HOSTILE})
    job = visitor.get("/dead-letters/", params={"job": HOSTILE, "payload": "1"})
    asked = visitor.post("/decisions", [("deed", "retry"), ("job", HOSTILE)])
    for answer in (page, job, asked, visitor.get("/dead-letters/", params={"job": HOSTILE + "?"})):
        assert "alert(1)" in answer.text
        assert not re.search(r"<script>|<img src=x|javascript:", answer.text)
    assert job.status_code == asked.status_code == 200


def test_a_job_is_shown_and_its_payload_on_demand(desk: Desk, start: Start) -> None:
    """With its request ids and times, by any id; what nobody knows is 404."""
    desk.add_dead_letter(" a/../b c", "unknown")
    visitor = Visitor(start())
    found = re.search(r'href="(dead-letters/[^"]+)"', visitor.get().text)
    assert found
    job = visitor.get(found[1])
    ids = desk.dead_letters.record(" a/../b c")["request_ids"]
    assert all(text in text_of(job) for text in ("a/../b c", "held: it may have been bought", *ids))
    assert "inputText" not in job.text
    link = re.search(r'href="\.\./(dead-letters/[^"]*payload=1)" id="payload"', job.text)
    assert link
    assert "inputText" in visitor.get(link[1].replace("&amp;", "&")).text
    desk.add_dead_letter("plain")
    assert visitor.get("/dead-letters/?job=%20plain%20").status_code == 200
    missing = visitor.get("/dead-letters/none")
    assert (missing.status_code, "There is no record of the job none" in text_of(missing)) == (404, True)


def test_dead_letters_are_filtered_and_paged(desk: Desk, start: Start) -> None:
    """The newest first, 50 a page, back and forth; a wrong field is named."""
    for number in range(60):
        desk.add_dead_letter(f"old-{number:02}", "exhausted", ago_s=1000 + 2 * number)
    desk.add_dead_letter("bad", "rejected", code="AIGC_IMAGE_FORMAT", workflow="CATVTON")

    def shown(answer: requests.Response) -> list[str]:
        return re.findall(r'<input type="checkbox" name="job" value="([^"]*)"', answer.text)

    def link(answer: requests.Response, name: str) -> str:
        found = re.search(rf'href="([^"#]*)#letters" rel="\w+" id="{name}"', answer.text)
        assert found
        return found[1].replace("&amp;", "&")

    visitor = Visitor(start())
    first = visitor.get()
    assert shown(first) == ["bad", *(f"old-{number:02}" for number in range(49))]
    second = visitor.get(link(first, "older"))
    assert shown(second) == [f"old-{number:02}" for number in range(49, 60)]
    assert shown(visitor.get(link(second, "newer"))) == shown(first)
    for field, value in (("state", "rejected"), ("code", "AIGC_IMAGE_FORMAT"), ("workflow", "CATVTON")):
        assert shown(visitor.get(params={field: value})) == ["bad"]
    assert shown(visitor.get(params={"age": "-1h"})) == []
    wrong = visitor.get(params={"state": "lost"})
    assert (wrong.status_code, "state: must be one of unknown" in text_of(wrong)) == (400, True)
    assert visitor.get(params={"cursor": "nonsense"}).status_code == 400


def test_a_redis_that_is_away_is_said_in_words(tmp_path: Path) -> None:
    """As HTML with 503, for looking and for deciding; the page comes back by itself."""
    with RedisServer() as server, UiService(server.url, tmp_path) as ui:
        visitor = Visitor(ui)
        assert visitor.get().status_code == 200
        server.kill()
        (answer,) = until(partial(_away, visitor), "that Redis is away")
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["retry-after"] == "5"
        assert "Redis does not answer: " in text_of(answer)
        assert visitor.post("/decisions", [("deed", "retry"), ("job", "a")]).status_code == 503
        server.start()
        until(lambda: visitor.get().status_code == 200, "the page")


def _away(visitor: Visitor) -> list[requests.Response]:
    answer = visitor.get()
    return [answer] if answer.status_code == 503 else []


def test_read_only_shows_and_decides_nothing(desk: Desk, start: Start) -> None:
    """No form is there that decides, and what is posted is refused."""
    desk.add_dead_letter("held")
    visitor = Visitor(start("--read-only"))
    for path in ("/", "/dead-letters/held"):
        page = visitor.get(path)
        assert (page.status_code, 'method="post"' in page.text) == (200, False)
        assert "read-only" in page.text
    for path in ("/decisions", "/decisions/some"):
        assert visitor.post(path, [("deed", "retry"), ("job", "held")]).status_code == 403
    assert desk.state("held") == "unknown"
