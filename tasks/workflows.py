"""Which workflows are known here: those of the vendor's page, and those that a file declares.

`AIGC_WORKFLOWS_FILE`, or `tasks.configure(workflows_file=…)`, names the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from .declared import ANY_VERSION
from .declared.current import current
from .listed import LISTED, input_schema

__all__ = ["KnownWorkflow", "known"]


@dataclass(frozen=True, slots=True)
class KnownWorkflow:
    """A workflow and what its input must be.

    `version` is exact, or "*" for all that have no entry of their own. `schema` is the JSON Schema of
    algoInput (2020-12); fields that are images have `format` "image-url" there. `source` is "vendor", the
    vendor's page, or "file".
    """

    name: str
    version: str
    description: str
    schema: dict[str, Any] = field(hash=False)
    source: Literal["vendor", "file"]


def known() -> tuple[KnownWorkflow, ...]:
    """All workflows that `submit` takes without `unlisted`, those of the file first.

    Raises:
        SettingsError: a ValueError, naming what is wrong with the file.
    """
    declared = [
        KnownWorkflow(entry.name, entry.version, entry.description, entry.schema, "file")
        for entry in current().entries.values()
    ]
    replaced = {entry.name for entry in declared if entry.version == ANY_VERSION}
    built_in = [
        KnownWorkflow(
            model.workflow, ANY_VERSION, (model.__doc__ or "").strip(), input_schema(model), "vendor"
        )
        for model in LISTED
        if model.workflow not in replaced
    ]
    return (*declared, *built_in)
