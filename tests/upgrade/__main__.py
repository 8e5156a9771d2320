"""Workers of an earlier revision and of this version on one Redis: an upgrade under load, and the way back.

Three workers of the earlier revision, out of git and with its own lock, are replaced by this version's one
after the other, and these by the earlier's again, while jobs keep coming. Then the vendor's ledger, the
records and the results must agree: nothing lost, nothing bought twice. Exit code 1 where they do not.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from random import Random
from typing import Any

from tests.chaos.audit import Audit
from tests.chaos.report import end_cleanly
from tests.chaos.scenarios import nobody
from tests.chaos.stages import arena
from tests.upgrade.revision import OLDEST, Revision, set_up
from tests.upgrade.way import Way


def main(arguments: Sequence[str]) -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="./dev upgrade-check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--from", dest="revision", default=OLDEST, metavar="REV", help=f"the earlier revision ({OLDEST})"
    )
    parser.add_argument("--jobs", type=int, default=1000, help="about so many jobs in all (default 1000)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="to repeat a run")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    revision = set_up(options.revision)
    end_cleanly()
    found = _run(revision, options.jobs, options.seed)
    print(json.dumps(found, indent=2) if options.json else _in_words(found))
    return 1 if found["violations"] else 0


def _run(revision: Revision, jobs: int, seed: int) -> dict[str, Any]:
    began = time.monotonic()
    with arena(Random(f"{seed} upgrade"), latency_ms=10, jitter_ms=20) as stage:
        way = Way(stage, revision, jobs)
        try:
            violations = way.go()
        except AssertionError as error:
            violations = [*stage.complaints, f"{error}\n{stage.logs()}"]
        return {
            "from": revision.commit[:12],
            "version": revision.version,
            "seed": seed,
            "seconds": round(time.monotonic() - began, 1),
            "stretches": list(way.figures()),
            "figures": Audit(stage, nobody).figures(),
            "violations": violations,
        }


def _in_words(found: dict[str, Any]) -> str:
    lines = [f"from {found['from']} ({found['version']}), seed {found['seed']}: {found['seconds']} s"]
    lines.append("| while | earlier workers | s | jobs | results | bought |\n|---|--:|--:|--:|--:|--:|")
    lines += ["| " + " | ".join(map(str, stretch.values())) + " |" for stretch in found["stretches"]]
    lines.append(", ".join(f"{name} {count}" for name, count in found["figures"].items()))
    lines += [f"VIOLATION {each}" for each in found["violations"]] or ["nothing lost, nothing doubled"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
