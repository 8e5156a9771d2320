"""`./dev audit`: what it makes of pip-audit's words, and of a database that is not there."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from supply_chain.audit import main

CLEAN = {"name": "vine", "version": "5.1.0", "vulns": []}
VULNERABLE = {
    "name": "click", "version": "8.5.1",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["9.0"], "aliases": ["CVE-2026-1"], "description": "bad"}],
}  # fmt: skip
PASSED_OVER = {"name": "vine", "skip_reason": "not found"}


@contextmanager
def database(status: int, body: bytes = b"{}") -> Iterator[str]:
    """One that answers every query so, on loopback."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Runs the command with a pip-audit that prints this, for one lock."""

    def audit(url: str, said: object, *arguments: str) -> int:
        program = tmp_path / "pip-audit"
        text = said if isinstance(said, str) else json.dumps(said)
        program.write_text(f"#!{sys.executable}\nprint({text!r})\n")
        program.chmod(0o755)
        return main([f"--pip-audit={program}", f"--osv-url={url}", "--lock=build", *arguments])

    return audit


@pytest.mark.parametrize(
    ("packages", "code", "words"),
    [
        ([CLEAN], 0, "1 packages, 0 findings"),
        ([CLEAN, VULNERABLE], 1, "build.lock: click 8.5.1: PYSEC-1, CVE-2026-1; mended by 9.0"),
        ([PASSED_OVER], 1, "build.lock: vine: not audited: not found"),
    ],
)
def test_findings_are_told_with_what_mends_them(
    run: Any, capsys: pytest.CaptureFixture[str], packages: list[Any], code: int, words: str
) -> None:
    """Exit 1 for each vulnerability, and for each package that was passed over."""
    with database(200) as url:
        assert run(url, {"dependencies": packages}) == code
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(("status", "body"), [(500, b"{}"), (404, b"{}"), (200, b"<html>"), (200, b"[]")])
@pytest.mark.parametrize(("arguments", "code"), [((), 0), (("--must",), 1)])
def test_a_database_that_cannot_be_asked_is_said(
    run: Any, capsys: pytest.CaptureFixture[str], status: int, body: bytes, arguments: Any, code: int
) -> None:
    """A proxy's page in its place, too: no red, unless that was asked for, and never green in silence."""
    with database(status, body) as url:
        assert run(url, {"dependencies": [VULNERABLE]}, *arguments) == code
    done = capsys.readouterr()
    assert "audit: skipped, because the database of vulnerabilities cannot be asked: http" in done.err
    assert done.out == ""


def test_a_database_that_nobody_runs_is_said(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """As on a machine without a way out."""
    assert run("http://127.0.0.1:1/v1/query", {"dependencies": []}) == 0
    assert "audit: skipped, because" in capsys.readouterr().err


def test_an_audit_that_breaks_is_red(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """While the database answers, words instead of findings are a fault of ours."""
    with database(200) as url:
        assert run(url, "usage: pip-audit") == 1
    assert "pip-audit failed" in capsys.readouterr().err
