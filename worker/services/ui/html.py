"""Answers in HTML: templates that escape whatever they print, headers that let in no script but ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

HERE: Final = Path(__file__).parent

HEADERS: Final[Mapping[str, str]] = {
    "cache-control": "no-store",
    # Pictures are the vendor's, so they may be anywhere. Nothing else is loaded, nothing sent elsewhere.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: http:;"
        " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    # Not no-referrer: with that, browsers say of our own forms that they come from nowhere (Origin: null).
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Pages:
    """All templates, read and compiled once."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            auto_reload=False,
            finalize=_finalized,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        self._templates.filters["markup"] = Markup
        for name in self._templates.list_templates():
            self._templates.get_template(name)  # now: the first page should wait for none

    def answer(self, template: str, context: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        """A page of this template; with `HEADERS`."""
        text = self._templates.get_template(template).render(context)
        return HTMLResponse(text, status, dict(HEADERS))


def _finalized(value: Any) -> Any:
    """What is printed, without characters that turn the text around them or cannot be seen."""
    if isinstance(value, Markup) or not isinstance(value, str) or value.isprintable():
        return value
    return "".join(char if char.isprintable() or char == "\n" else "�" for char in value)
