"""The page about metrics names what is served, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from tests.unit.services.ui.snapshots import snapshot
from worker.services.ui.families import families

PAGE = Path(__file__).parents[4] / "docs" / "how-to" / "metrics.md"


def test_the_page_names_every_metric() -> None:
    """A row each, with its labels and its kind."""
    told = set[tuple[str, str]]()
    for names, kind in re.findall(
        r"^\| (`.*`) \| (counter|gauge|histogram) \|", PAGE.read_text(), re.MULTILINE
    ):
        told |= {(name, kind) for name in re.findall(r"`([^`]+)`", names)}
    served = set()
    for family in families(snapshot()):
        kinds = {label for sample in family.samples for label in sample.labels} - {"le"}
        order = [
            label for label in ("workflow", "status", "outcome", "priority", "queue_name") if label in kinds
        ]
        name = family.name + ("_total" if family.type == "counter" else "")
        served.add((name + (f"{{{','.join(order)}}}" if order else ""), family.type))
    assert told == served
