"""Templates: whatever they print is text."""

from __future__ import annotations

import re
from pathlib import Path

from worker.services.ui.html import HERE, Pages

HOSTILE = "<script>alert(1)</script>\"'>&\u202egnp\x00\x1b[2J"


def page(words: str) -> str:
    context = {
        "title": words, "words": words, "up": "./", "queue": words, "now": "2026-11-22T22:31:33Z",
        "read_only": False, "who": words, "token_field": "t", "form_token": words, "status_code": 404,
    }  # fmt: skip
    return bytes(Pages().answer("problem.html", context).body).decode()


def test_text_of_strangers_is_text() -> None:
    """No element, no attribute, no control or bidirectional character of it comes through."""
    html = page(HOSTILE)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&gt;&amp;" in html
    assert not set("\u202e\x00\x1b") & set(html)


def test_no_template_has_script_or_style_in_it() -> None:
    """The policy would not run it; and only plots, which are made of numbers, are markup."""
    for file in Path(HERE, "templates").iterdir():
        text = file.read_text()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?! src=)", text), file.name
        assert "| safe" not in text, file.name
        assert ("markup" in text) is (file.name == "plots.html")
