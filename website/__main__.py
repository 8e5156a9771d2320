"""`./dev docs`: write the generated pages, then build the site into build/site; a dead link fails.

With `--check` nothing is written: a generated page that is not what would be written fails as well.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from website import api_page, cli_page

ROOT: Final = Path(__file__).parents[1]
GENERATED: Final[Mapping[str, Callable[[], str]]] = {
    "docs/reference/api.md": api_page.page,
    "docs/reference/cli.md": cli_page.page,
}


def main() -> int:
    """Run the command; gives its exit code."""
    parser = argparse.ArgumentParser(prog="./dev docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing in this directory")
    if not parser.parse_args().check:
        for name, page in GENERATED.items():
            (ROOT / name).write_text(page(), "utf-8")
        return build(ROOT / "build" / "site")
    for name in stale():
        print(f"{name} is not what the code says: ./dev docs writes it", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="aigc-site-") as scratch:
        return build(Path(scratch)) or int(bool(stale()))


def stale() -> list[str]:
    """The generated pages that are not what the code says now."""
    return [name for name, page in GENERATED.items() if (ROOT / name).read_text("utf-8") != page()]


def build(directory: Path) -> int:
    """Build the site strictly; gives mkdocs' exit code."""
    # Not --quiet: what it does not say, it does not count either.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", f"--site-dir={directory}"]
    # Its theme's team tells of another program at each build.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.call(command, cwd=ROOT, env=environment)


if __name__ == "__main__":
    sys.exit(main())
