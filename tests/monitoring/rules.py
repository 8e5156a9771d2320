"""The alerts for the Prometheus operator: `python -m tests.monitoring.rules` writes the manifest."""

from __future__ import annotations

from tests.monitoring.files import ALERTS, FOLDER

MANIFEST = FOLDER.parent / "deploy" / "kubernetes" / "components" / "monitoring" / "rules.yaml"
_HEAD = """\
# monitoring/alerts.yml, word for word: `python -m tests.monitoring.rules` writes it.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: aigc
  labels: { app.kubernetes.io/part-of: aigc }
spec:
"""


def manifest() -> str:
    """What the file must have."""
    alerts = ALERTS.read_text()
    groups = alerts[alerts.index("groups:") :].splitlines(keepends=True)
    return _HEAD + "".join(f"  {line}" if line.strip() else line for line in groups)


if __name__ == "__main__":
    MANIFEST.write_text(manifest())
