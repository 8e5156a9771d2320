"""An operator decides in a browser: by clicking, and by keyboard alone."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.scene import HOSTILE, PRICES
from tests.conditions import until
from tests.integration.desk import Desk
from tests.integration.ui_service import Start


def test_a_held_job_is_accepted_by_clicking(desk: Desk, start: Start, open_page: Open) -> None:
    """From the state's sentence to the job, its task id, the question, and what was done."""
    desk.add_dead_letter("held-1")
    page = open_page(start(**PRICES).url)
    page.click("text=Decide about the held job")
    page.click("text=held-1")
    page.fill("text=Task id", "8d0d3c")
    page.click("text=Accept…")
    expect(page.locator("h1")).to_have_text("Accept the job as task 8d0d3c?")
    expect(page.locator("main")).to_contain_text("what was spent grows by: 0.04 USD")
    page.click("button:text('Accept the job')")
    expect(page.locator("#report")).to_contain_text("1 job was settled as submitted.")
    assert desk.results_of("held-1")[-1].task_id == "8d0d3c"


def test_a_held_job_is_accepted_by_keyboard(desk: Desk, start: Start, open_page: Open) -> None:
    """With Tab, typing and Enter; what has the focus is always seen."""
    desk.add_dead_letter("held-1")
    page = open_page(start().url)
    for target, typed in (("#held", ""), ("#to-held-1", ""), ("#task-id", "8d0d3c"), ("button.main", "")):
        tab_to(page, target)
        page.keyboard.type(typed)
        page.keyboard.press("Enter")
        if target != "#held":
            page.wait_for_load_state("load")
    expect(page.locator("#report")).to_be_focused()
    assert desk.results_of("held-1")[-1].task_id == "8d0d3c"


def tab_to(page: Any, target: str) -> None:
    """Press Tab until this has the focus."""
    page.wait_for_selector(target)
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate("target => document.activeElement.matches(target)", target):
            style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert style != "none", f"{target} has the focus, and nobody sees it"
            return
    raise AssertionError(f"Tab does not lead to {target}")


def test_a_retry_of_several_shows_the_cost(desk: Desk, start: Start, open_page: Open) -> None:
    """The count and the sum before anything is bought; ticking all is one click."""
    for number in range(3):
        desk.add_dead_letter(f"job-{number}", "unknown" if number else "exhausted")
    page = open_page(start(**PRICES).url)
    page.check("#all-here")
    expect(page.locator("#ticked")).to_have_text("3 ticked")
    page.uncheck("#job-job-0")
    expect(page.locator("#ticked")).to_have_text("2 ticked")
    page.click("text=Retry…")
    expect(page.locator("h1")).to_have_text("Retry 2 jobs?")
    expect(page.locator("main")).to_contain_text("that costs: 0.08 USD")
    expect(page.locator("main")).to_contain_text("may each be paid for a second time")
    assert desk.queued() == []
    page.click("button:text('Retry 2 jobs')")
    expect(page.locator("#report")).to_contain_text("2 jobs were queued again.")
    assert sorted(desk.queued()) == ["job-1", "job-2"]


def test_who_goes_back_finds_no_other_job_ticked(desk: Desk, start: Start, open_page: Open) -> None:
    """Browsers tick by position, and there stands the next job once one is gone."""
    for number in range(3):
        desk.add_dead_letter(f"job-{number}", ago_s=number)
    page = open_page(start().url)
    page.check("#job-job-0")
    page.click("text=Discard…")
    page.click("button.main")
    expect(page.locator("#report")).to_be_visible()
    for _ in range(2):
        page.go_back()
    expect(page.locator("#letter-list input[name=job]")).to_have_count(2)
    assert page.locator("#letter-list input:checked").count() == 0


def test_what_strangers_write_appears_as_text(desk: Desk, start: Start, open_page: Open) -> None:
    """On the page, on the job's, in the question and in the report; nothing of it runs."""
    desk.add_dead_letter(HOSTILE, workflow=HOSTILE, code=HOSTILE)
    page = open_page(start().url)
    expect(page.locator("#letter-list th.id")).to_have_text(HOSTILE)
    page.click("#letter-list th.id a")
    expect(page.locator("h1")).to_have_text(HOSTILE)
    page.click("#payload")
    expect(page.locator("pre")).to_contain_text("<script>document.title='owned'</script>")
    page.click("text=Discard…")
    expect(page.locator("summary + ul li bdi").first).to_have_text(HOSTILE)
    page.click("button.main")
    page.click("summary")
    expect(page.locator("#report li")).to_contain_text(HOSTILE)
    assert "owned" not in page.title()
    assert page.locator("img[src=x]").count() == 0


def test_the_page_follows_and_keeps_what_was_ticked(desk: Desk, start: Start, open_page: Open) -> None:
    """Numbers change by themselves; rows stay while one is ticked, and what has the focus keeps it."""
    desk.add_dead_letter("first")
    page = open_page(start().url)
    page.check("#job-first")
    page.focus("#count-unknown")
    desk.add_dead_letter("second")
    expect(page.locator("#count-unknown")).to_contain_text("2")
    expect(page.locator("#notice")).to_contain_text("They stay as they are while some are ticked.")
    assert page.locator("#job-second").count() == 0
    assert page.is_checked("#job-first")
    expect(page.locator("#count-unknown")).to_be_focused()
    page.uncheck("#job-first")
    expect(page.locator("#job-second")).to_be_visible()
    expect(page.locator("#notice")).to_have_text("")


def test_who_has_to_log_in_does(desk: Desk, start: Start, open_page: Open) -> None:
    """With a name and the token; what they decide has their name; then they log out."""
    desk.add_dead_letter("held-1")
    ui = start(AIGC_UI_TOKEN="a-token-of-some-length")
    page = open_page(ui.url)
    page.fill("text=Your name", "ann")
    page.fill("text=Token", "a-token-of-some-length")
    page.keyboard.press("Enter")
    page.fill("#pause-workflow", "TEXT2IMAGE")
    page.click("text=Pause…")
    page.click("button.main")
    expect(page.locator("#report")).to_contain_text("TEXT2IMAGE is paused.")
    (decision,) = until(desk.decisions, "the decision")
    assert (decision["who"], decision["what"]) == ("ann", "pause")
    page.click("text=Log out")
    expect(page.locator("h1")).to_have_text("Log in")


def test_without_a_script_it_does_the_same(desk: Desk, start: Start, open_page: Open) -> None:
    """By links and forms."""
    desk.add_dead_letter("held-1")
    page = open_page(start().url, java_script_enabled=False)
    page.check("#job-held-1")
    page.click("text=Discard…")
    page.click("button.main")
    expect(page.locator("#report")).to_contain_text("1 job was discarded.")
