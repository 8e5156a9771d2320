"""Outputs on the page: which pictures a browser is led to."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from tasks.output import Output
from worker.services.ui.views.tasks import may_show, output_card


def output(**changes: Any) -> Output:
    nothing = dict.fromkeys(("url", "file", "sha256", "bytes", "content_type", "vendor_status"))
    about: dict[str, Any] = {
        "job_id": "j", "task_id": "t", "status": "succeeded", "workflow": "TEXT2IMAGE", "version": "1.0.0",
        "finished_at": "2026-11-22T22:31:33.123Z", "url": "https://files.example/a?sig=1",
    }  # fmt: skip
    return Output(**{**nothing, **about, **changes})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://files.example/a.png?sig=1", True),
        ("http://files.example/a.png", True),
        ("javascript:alert(1)", False),
        ("data:image/svg+xml,<svg onload=alert(1)>", False),
        ("//files.example/a.png", False),
        ("https://127.0.0.1/a.png", False),
        ("http://169.254.169.254/latest", False),
        ("http://[::1]/a.png", False),
        ("https://files.example/a b.png", False),
        ("ftp://files.example/a.png", False),
    ],
)
def test_only_public_http_addresses_are_shown(url: str, shown: bool) -> None:
    """A vendor's answer leads no operator's browser into the network that it stands in."""
    assert may_show(url) is shown
    card = output_card(output(url=url))
    assert (bool(card.picture), bool(card.link)) == (shown, shown)


def test_a_network_may_be_allowed() -> None:
    """As for the workers, who fetch from there."""
    allowed = (ipaddress.ip_network("127.0.0.0/8"),)
    assert may_show("http://127.0.0.1:8081/a.png", allowed)
    assert not may_show("javascript://127.0.0.1/%0aalert(1)", allowed)


def test_a_clip_is_a_link() -> None:
    """By its kept file's type, else by workflow and name."""
    assert output_card(output(workflow="IMAGE2VIDEO")).picture == ""
    assert output_card(output(url="https://files.example/a.MP4?x")).picture == ""
    assert output_card(output(workflow="IMAGE2VIDEO", content_type="image/gif")).picture
    assert output_card(output(content_type="video/mp4")).picture == ""
