"""`aigc workflows` and `aigc schema`: what may be submitted, and the shape of what is written and read."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worker.cli.common import settings_in_words

if TYPE_CHECKING:
    from tasks.workflows import KnownWorkflow


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with the schema of algoInput.")
def workflows(as_json: bool) -> None:
    """List the workflows that are known here: the vendor's, and those of AIGC_WORKFLOWS_FILE.

    A version * stands for all that are not listed. Optional fields have a question mark, images an (image).

    \b
    Example:
      AIGC_WORKFLOWS_FILE=workflows.toml aigc workflows
    """
    known = _known()
    if as_json:
        for workflow in known:
            click.echo(json.dumps(asdict(workflow), ensure_ascii=False))
        return
    rows = [("WORKFLOW", "VERSION", "FROM", "ALGOINPUT"), *map(_row, known)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for *cells, last in rows:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        click.echo(f"{'  '.join(padded)}  {last}")


def _row(workflow: KnownWorkflow) -> tuple[str, str, str, str]:
    required = workflow.schema.get("required", ())
    fields = [
        name + ("" if name in required else "?") + (" (image)" if '"image-url"' in json.dumps(schema) else "")
        for name, schema in workflow.schema.get("properties", {}).items()
    ]
    if workflow.schema.get("additionalProperties") is not False:
        fields.append("others unchecked")
    return workflow.name, workflow.version, workflow.source, ", ".join(fields)


@click.command()
@click.argument("name", required=False)
@click.option(
    "--all", "folder", type=click.Path(file_okay=False, path_type=Path), help="Write all into this folder."
)
def schema(name: str | None, folder: Path | None) -> None:
    """Print a JSON Schema (2020-12): of a result, a line for aigc submit, a payload, a workflow's payload.

    Without NAME their names. Payloads are those of the workflows that are known here.

    \b
    Examples:
      aigc schema result
      aigc schema TEXT2IMAGE
    """
    from tasks.schemas import documents

    if name and folder:
        raise click.UsageError("give a NAME or --all, not both")
    found = documents(_known())
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for document in found.values():
            (folder / document["$id"]).write_text(_text(document), "utf-8")
    elif name is None:
        click.echo("\n".join(found))
    elif name in found:
        click.echo(_text(found[name]), nl=False)
    else:
        raise click.UsageError(f"no schema {name!r}: there are {', '.join(found)}")


def _known() -> tuple[KnownWorkflow, ...]:
    from tasks.workflows import known

    with settings_in_words():
        return known()


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
