"""The settings of following: off unless they say so, and checked either way."""

from __future__ import annotations

import pytest

from tasks.exceptions import SettingsError
from worker.config.follow import FollowSettings
from worker.config.settings import load

KEYS = {"AIGC_ACCESS_KEY": "the-access-key", "AIGC_SECRET_KEY": "the-secret-key"}


def test_nothing_is_followed_unless_it_is_switched_on() -> None:
    """Whatever else is set."""
    assert load(KEYS).follow is None
    assert load(KEYS | {"AIGC_FOLLOW": "off", "AIGC_QUERY_RATE_PER_S": "3"}).follow is None


def test_what_is_followed_is_as_the_settings_say() -> None:
    """Ten queries a second and a day, where they say nothing."""
    assert load(KEYS | {"AIGC_FOLLOW": "on"}).follow == FollowSettings(10.0, 86400.0)
    given = {"AIGC_FOLLOW": "ON", "AIGC_QUERY_RATE_PER_S": "0.5", "AIGC_FOLLOW_DEADLINE_S": "60"}
    assert load(KEYS | given).follow == FollowSettings(0.5, 60.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AIGC_FOLLOW", "yes"),
        ("AIGC_QUERY_RATE_PER_S", "0"),
        ("AIGC_QUERY_RATE_PER_S", "1e-320"),
        ("AIGC_FOLLOW_DEADLINE_S", "a day"),
        ("AIGC_FOLLOW_DEADLINE_S", "1e300"),
    ],
)
def test_what_cannot_be_right_is_named(name: str, value: str) -> None:
    """Also while following is off."""
    with pytest.raises(SettingsError) as caught:
        load(KEYS | {name: value})
    assert [problem.split()[0] for problem in caught.value.problems] == [name]
