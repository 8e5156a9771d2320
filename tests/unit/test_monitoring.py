"""Alerts, their tests, the runbook and the dashboard fit each other, and what is served."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.monitoring.files import (
    ALERTS_TEST,
    alerts,
    dashboard,
    dashboard_expressions,
    metrics_in,
)
from tests.unit.services.ui.snapshots import snapshot
from worker.services.ui.families import families

ROOT = Path(__file__).parents[2]
RUNBOOK = ROOT / "docs" / "runbook.md"


def served() -> set[str]:
    """Every name that a scrape has or may have."""
    found = set()
    for family in families(snapshot()):
        found |= {sample.name for sample in family.samples}
        found.add(family.name if family.type == "gauge" else f"{family.name}_total")
    return found


def test_every_expression_names_what_is_served() -> None:
    """In alerts, their tests and the dashboard; each names something."""
    expressions = [*(rule["expr"] for rule in alerts().values()), *dashboard_expressions()]
    assert all(metrics_in(expression) for expression in expressions)
    named = set().union(*map(metrics_in, expressions)) | metrics_in(ALERTS_TEST.read_text())
    assert named <= served()


def test_each_alert_is_tested_to_fire_and_not_to() -> None:
    """With the words that somebody reads."""
    fires, quiet = set[str](), set[str]()
    for test in yaml.safe_load(ALERTS_TEST.read_text())["tests"]:
        for expected in test["alert_rule_test"]:
            (fires if expected["exp_alerts"] else quiet).add(expected["alertname"])
    assert fires == quiet == set(alerts())


def test_the_runbook_has_a_paragraph_for_each_alert() -> None:
    """And each alert leads to its own; no paragraph is for one that there is not."""
    sections = re.findall(r"^## (Aigc\w+)\n\n(\S.*)$", RUNBOOK.read_text(), re.MULTILINE)
    assert [name for name, _ in sections] == list(alerts())
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_the_panels_of_the_dashboard_lie_beside_each_other() -> None:
    """Each with an id and a title of its own, none over another, within Grafana's 24 columns."""
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    taken = set[tuple[int, int]]()
    for at in (panel["gridPos"] for panel in panels):
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        taken |= cells
