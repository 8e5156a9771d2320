"""Somebody with a browser, so to say: keeps cookies, and fills in the forms that are on a page."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import urljoin

import requests

from tests.conditions import PATIENCE_S
from tests.integration.ui_service import UiService

_TOKEN = re.compile(r'name="form_token" value="([^"]*)"')


class Visitor:
    """One session with one `aigc ui`."""

    def __init__(self, ui: UiService) -> None:
        self.url = ui.url
        self.session = requests.Session()
        self.session.headers["accept"] = "text/html"
        self.session.trust_env = False
        self.token = ""

    def get(self, path: str = "/", **options: Any) -> requests.Response:
        return self._seen(self.session.get(urljoin(self.url, path), timeout=PATIENCE_S, **options))

    def post(self, path: str, fields: Any = (), **options: Any) -> requests.Response:
        """Post a form; with the token of the page that was seen last, unless there is another among them."""
        pairs = list(fields.items()) if isinstance(fields, dict) else list(fields)
        if not any(name == "form_token" for name, _ in pairs):
            pairs.append(("form_token", self.token))
        url = urljoin(self.url, path)
        return self._seen(self.session.post(url, data=pairs, timeout=PATIENCE_S, **options))

    def log_in(self, token: str, name: str = "ann") -> requests.Response:
        self.get("/login")
        return self.post("/login", {"name": name, "token": token})

    def decide(self, deed: str, *jobs: str, **fields: str) -> tuple[requests.Response, requests.Response]:
        """Choose and confirm; the question, and the page with the report."""
        chosen = [("deed", deed), *(("job", job) for job in jobs), *fields.items()]
        asked = self.post("/decisions", chosen)
        return asked, self.post(asked.url)

    def _seen(self, answer: requests.Response) -> requests.Response:
        if found := _TOKEN.search(answer.text):
            self.token = html.unescape(found[1])
        return answer


def text_of(answer: requests.Response) -> str:
    """What is read on a page."""
    without = re.sub(r"<(script|style|title).*?</\1>|<[^>]*>", " ", answer.text, flags=re.DOTALL)
    return " ".join(html.unescape(without).split())
