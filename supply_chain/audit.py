"""`./dev audit`: known vulnerabilities of the locked packages, by pip-audit, from the database of OSV.

Exit 1 where there is one. Where the database cannot be asked, that is said, and the exit code is 0: a machine
without a way to it proves nothing against the packages. `--must` makes that 1 as well.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
LOCKS: Final = ("build", "dev", "tools")
"""dev.lock has all that worker.lock and sandbox.lock have. lowest.lock is left out: its versions are old on
purpose, and nobody is to run them."""

OSV: Final = "https://api.osv.dev/v1/query"
ANSWER_WITHIN_S: Final = 10.0

_PROBE: Final = {"package": {"name": "aigc-worker", "ecosystem": "PyPI"}, "version": "0"}


def main(arguments: Sequence[str]) -> int:
    """Run the command; gives its exit code."""
    parser = argparse.ArgumentParser(prog="./dev audit", description=__doc__)
    parser.add_argument("--pip-audit", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--osv-url", default=OSV, help="of another database that speaks as OSV's does")
    parser.add_argument("--must", action="store_true", help="exit 1 where the database cannot be asked")
    parser.add_argument("--lock", dest="locks", action="append", choices=LOCKS, help="only this one")
    given = parser.parse_args(arguments)
    if why := unreachable(given.osv_url):
        return skipped(why, given.must)
    packages, lines = 0, list[str]()
    for name in given.locks or LOCKS:  # each by itself: pip-audit refuses a package that is named twice
        found = ask(given.pip_audit, given.osv_url, ROOT / "requirements" / f"{name}.lock")
        if isinstance(found, str):
            if why := unreachable(given.osv_url):  # it went away meanwhile
                return skipped(why, given.must)
            print(f"audit: pip-audit failed:\n{found}", file=sys.stderr)
            return 1
        packages += len(found["dependencies"])
        lines += [f"{name}.lock: {line}" for line in (*vulnerabilities(found), *unaudited(found))]
    print("\n".join([*lines, f"audit: {packages} packages, {len(lines)} findings"]))
    return int(bool(lines))


def skipped(why: str, must: bool) -> int:
    """Say that nothing was looked up."""
    print(f"audit: skipped, because the database of vulnerabilities cannot be asked: {why}", file=sys.stderr)
    return int(must)


def unreachable(url: str) -> str:
    """Why the database does not answer as it should; empty where it does."""
    body = json.dumps(_PROBE).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as answer:
            if not isinstance(json.load(answer), dict):
                return f"{url} answers what is no answer of OSV's"
    except urllib.error.HTTPError as error:
        error.close()
        return f"{url} answers HTTP {error.code}"
    except (OSError, ValueError) as error:
        return f"{url}: {getattr(error, 'reason', None) or error}"
    return ""


def ask(program: str, url: str, lock: Path) -> dict[str, Any] | str:
    """What pip-audit found; its own words where it could not."""
    command = [
        program, "--vulnerability-service=osv", f"--osv-url={url}", "--disable-pip", "--require-hashes",
        "--format=json", "--progress-spinner=off", f"--requirement={lock}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return done.stderr
    return found if isinstance(found, dict) else done.stderr


def vulnerabilities(found: dict[str, Any]) -> Iterator[str]:
    """A line for each, with the version that mends it."""
    for package in found["dependencies"]:
        for vulnerability in package.get("vulns", []):
            names = ", ".join([vulnerability["id"], *vulnerability.get("aliases", [])])
            mended = " or ".join(vulnerability.get("fix_versions", [])) or "nothing yet"
            yield f"{package['name']} {package['version']}: {names}; mended by {mended}"


def unaudited(found: dict[str, Any]) -> Iterator[str]:
    """A line for each package that was not looked up: a pass over it would prove nothing."""
    for package in found["dependencies"]:
        if reason := package.get("skip_reason"):
            yield f"{package['name']}: not audited: {reason}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
