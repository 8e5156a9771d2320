"""Alerts, their tests, the runbook and the dashboard fit each other, and what is served."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tests.monitoring.files import (
    ALERTS,
    ALERTS_TEST,
    alerts,
    dashboard,
    dashboard_expressions,
    metrics_in,
)
from tests.monitoring.shortened import shortened
from tests.monitoring.situations import SCENES
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


def test_each_alert_is_made_to_fire_in_a_real_prometheus() -> None:
    """By a situation of its own; whatever else may fire of it is an alert of ours, too."""
    situations = [situation for scene in SCENES for situation in scene.situations]
    assert {situation.alert for situation in situations} == set(alerts())
    assert set().union(*(situation.also for situation in situations)) <= set(alerts())


def test_short_rules_are_those_that_ship_with_other_durations() -> None:
    """All of them divided alike, a group's that says none too; nothing else is changed."""
    ships = yaml.safe_load(ALERTS.read_text())
    short = shortened(ships, 30)
    assert without_durations(short) == without_durations(ships)
    rules = {rule["alert"]: rule for group in short["groups"] for rule in group["rules"]}
    assert [group["interval"] for group in short["groups"]] == ["1000ms", "2000ms"]
    assert rules["AigcNothingSubmitted"]["for"] == "30000ms"
    assert "[10000ms])) == 0" in rules["AigcNothingSubmitted"]["expr"]
    assert "[2880000ms:2000ms]" in rules["AigcSpendAbovePlan"]["expr"]


def without_durations(rules: dict[str, Any]) -> str:
    """The file, each duration a D, and without the intervals of its groups."""
    groups = [
        {name: value for name, value in group.items() if name != "interval"} for group in rules["groups"]
    ]
    return re.sub(r"\b\d+(ms|[smhd])\b", "D", yaml.safe_dump(groups, width=1000))


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
