"""`./dev sbom`: a software bill of materials of each lock, in CycloneDX's JSON: build/sbom/<lock>.cdx.json.

cyclonedx-py reads the lock (hashes) and the environment that was installed from it (licences, what depends
on what); here the two become one document, which is checked against CycloneDX's schema. The same locks give
the same bytes: no time, no random number, no path. Runs in the tools' own environment.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
LOCKS: Final = ("worker", "sandbox", "dev")

Document = dict[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Run the command; gives its exit code."""
    parser = argparse.ArgumentParser(prog="./dev sbom", description=__doc__)
    parser.add_argument("--python", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, default=ROOT / "build" / "sbom", help="the folder to write into")
    parser.add_argument("--lock", dest="locks", action="append", choices=LOCKS, help="only this one")
    given = parser.parse_args(arguments)
    given.to.mkdir(parents=True, exist_ok=True)
    installed = cyclonedx("environment", f"--pyproject={ROOT / 'pyproject.toml'}", given.python)
    for name in given.locks or LOCKS:
        locked = cyclonedx("requirements", str(ROOT / "requirements" / f"{name}.lock"))
        text = json.dumps(merged(locked, installed), indent=2, sort_keys=True) + "\n"
        if fault := invalid(text):
            print(f"sbom: {name}: not as CycloneDX's schema has it: {fault}", file=sys.stderr)
            return 1
        path = given.to / f"{name}.cdx.json"
        path.write_text(text, "utf-8")
        print(f"sbom: {path}: {len(locked['components'])} packages")
    return 0


def cyclonedx(*arguments: str) -> Document:
    """What cyclonedx-py makes of a lock or of an environment; its failure ends the program.

    Unchecked: the schema takes seconds, and `invalid` checks what becomes of it.
    """
    command = [sys.executable, "-m", "cyclonedx_py", *arguments, "--output-reproducible", "--no-validate"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"sbom: cyclonedx-py failed:\n{done.stderr}")
    found: Document = json.loads(done.stdout)  # on standard error it warns that nothing was checked
    return found


def merged(locked: Document, installed: Document) -> Document:
    """The locked packages as they are installed, each with its hashes.

    Raises:
        SystemExit: one is not installed as it is locked.
    """
    known = {same(component["name"]): component for component in installed["components"]}
    components = []
    for pin in locked["components"]:
        component = known.get(same(pin["name"]))
        if component is None or component["version"] != pin["version"]:
            sys.exit(f"sbom: {pin['name']} {pin['version']} is not installed: remove .venv, and call again")
        further = component.get("externalReferences", [])
        components.append({**component, "externalReferences": [*pin["externalReferences"], *further]})
    refs = {component["bom-ref"] for component in components}
    root = installed["metadata"]["component"]["bom-ref"]
    return {
        **installed,
        "components": sorted(components, key=lambda component: same(component["name"])),
        "dependencies": _among({*refs, root}, installed["dependencies"]),
    }


def _among(refs: set[str], dependencies: Sequence[Mapping[str, Any]]) -> list[Document]:
    """What depends on what, of these only."""
    kept = []
    for each in dependencies:
        if each["ref"] in refs:
            of = sorted(set(each.get("dependsOn", ())) & refs)
            kept.append({"ref": each["ref"], **({"dependsOn": of} if of else {})})
    return sorted(kept, key=lambda each: str(each["ref"]))


def same(name: str) -> str:
    """A package's name as indexes compare them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def invalid(text: str) -> str:
    """What is wrong with a document, by the schema of its version; empty where nothing is."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    version = SchemaVersion.from_version(json.loads(text)["specVersion"])
    return str(JsonStrictValidator(version).validate_str(text) or "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
