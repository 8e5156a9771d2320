"""What ships for Prometheus, checked by Prometheus itself and its tool: `./dev alerts`."""

from __future__ import annotations

import subprocess
import sys
import tempfile

import yaml

from tests.monitoring.files import ALERTS, ALERTS_TEST, dashboard_expressions
from tests.monitoring.live import check_live
from tests.unit.services.ui.snapshots import snapshot
from worker.services.ui.exposition import exposition

VARIABLES = {"$__rate_interval": "5m", "$workflow": ".*"}


def promtool(*arguments: str, text: bytes | None = None) -> int:
    print(f"promtool {' '.join(arguments)}", flush=True)
    return subprocess.run(["promtool", *arguments], input=text, check=False).returncode


def check_dashboard() -> int:
    """Whether each expression of the dashboard is one: as rules, which promtool reads."""
    rules = []
    for number, expression in enumerate(dashboard_expressions()):
        for name, stands_for in VARIABLES.items():
            expression = expression.replace(name, stands_for)
        rules.append({"record": f"dashboard:expression:{number}", "expr": expression})
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
        file.flush()
        return promtool("check", "rules", file.name)


def main() -> int:
    """0 where all is well."""
    try:
        codes = [
            promtool("check", "metrics", text=exposition(snapshot())),
            promtool("check", "rules", str(ALERTS)),
            promtool("test", "rules", str(ALERTS_TEST)),
            check_dashboard(),
            check_live(),
        ]
    except FileNotFoundError as error:
        if error.filename not in ("promtool", "prometheus"):
            raise
        print("promtool or prometheus is missing: apt-get install prometheus, on Debian", file=sys.stderr)
        return 1
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
