"""Redis refuses what settles jobs: nothing is bought that cannot be settled, and nothing twice."""

from __future__ import annotations

import pytest

from tests.chaos.report import SCENARIOS, perform

SEED = 1
JOBS = 2000
"""A tenth of them are ordered at first: 200."""


@pytest.mark.timeout(150)
@pytest.mark.parametrize("way", ["key results", "ACL -xadd"])
@pytest.mark.parametrize("form", ["early", "early, mended, restart"])
def test_a_refused_result_costs_no_second_purchase(way: str, form: str) -> None:
    """Buying stops at what is in flight; once Redis is mended each job ends once, also after a restart."""
    report = perform(SCENARIOS[f"refused real {way}, {form}"], jobs=JOBS, seed=SEED, gentle=True)
    assert report.violations == []
    assert report.figures["jobs"] >= 200
