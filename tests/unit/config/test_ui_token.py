"""`AIGC_UI_TOKEN`: there where it must be, and none that can be guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.exceptions import SettingsError
from worker.config.settings import load, ui_token_from_environ


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIGC_UI_TOKEN", "AIGC_UI_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_without_one_only_this_machine_may_look() -> None:
    """It is asked for where others can reach the service, and the variable is named."""
    assert ui_token_from_environ(must=False) is None
    with pytest.raises(SettingsError, match=r"^AIGC_UI_TOKEN must be set, or AIGC_UI_TOKEN_FILE: "):
        ui_token_from_environ(must=True)


@pytest.mark.parametrize(
    "wrong", ["short", "with blanks in it for sure", "fünfzehn-und-eins-mehr", "a\nb" * 9]
)
def test_one_that_cannot_be_right_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On loopback, too; its value is not told."""
    monkeypatch.setenv("AIGC_UI_TOKEN", wrong)
    with pytest.raises(SettingsError, match="AIGC_UI_TOKEN must be 16 or more ASCII characters") as told:
        ui_token_from_environ(must=False)
    assert wrong not in str(told.value)


def test_it_may_be_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As every secret; its trailing newline is dropped."""
    file = tmp_path / "token"
    file.write_text("a-token-of-some-length\n")
    monkeypatch.setenv("AIGC_UI_TOKEN_FILE", str(file))
    assert ui_token_from_environ(must=True) == "a-token-of-some-length"


def test_a_worker_does_not_take_it_for_a_misspelling() -> None:
    """One environment may be for all services."""
    keys = {"AIGC_ACCESS_KEY": "a", "AIGC_SECRET_KEY": "s", "AIGC_UI_TOKEN": "a-token-of-some-length"}
    assert load(keys).warnings == ()
