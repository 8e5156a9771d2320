"""What is given as JSON by mistake, told by how it begins."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from typing import Any

import pytest

from worker.cli.jobs import Unreadable, read

ROWS = "sku,prompt,width\n" + "A-1,a cat,512\n" * 5000
OBJECT = json.dumps({"workflow": "TEXT2IMAGE", "prompt": "a, b; c"})


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


def places(content: bytes) -> list[tuple[str, Any]]:
    return list(read(io.BytesIO(content)))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (ROWS.encode(), "CSV, its columns separated by commas"),
        (b"\xef\xbb\xbf" + ROWS.replace("\n", "\r\n").encode(), "CSV, its columns separated by commas"),
        (ROWS.replace(",", ";").encode(), "CSV, its columns separated by semicolons"),
        (ROWS.replace(",", "\t").encode(), "CSV, its columns separated by tabs"),
        (b'"sku","payload"\n"A-1","{""workflow"": 1}"\n', "CSV"),
        (ROWS.encode("utf-16"), "UTF-16"),
        (OBJECT.encode("utf-16"), "UTF-16"),
        (OBJECT.encode("utf-16-le"), "UTF-16"),
        (OBJECT.encode("utf-16-be"), "UTF-16"),
        (OBJECT.encode("utf-32"), "UTF-32"),
        (gzip.compress(OBJECT.encode()), "gzip"),
        (archive(), "spreadsheet"),
        (b"<!DOCTYPE html>\n<html></html>", "XML or HTML"),
    ],
    ids=[
        "commas", "a mark and CRLF", "semicolons", "tabs", "JSON in a column", "rows in UTF-16", "UTF-16",
        "UTF-16-LE without a mark", "UTF-16-BE without a mark", "UTF-32", "gzip", "xlsx", "HTML",
    ],
)  # fmt: skip
def test_what_is_no_json_at_all_is_one_fault_that_names_it(content: bytes, kind: str) -> None:
    """Not one for each of its 5,000 lines."""
    with pytest.raises(Unreadable, match=f"^looks like .*{kind}.*; nothing was queued$"):
        places(content)


@pytest.mark.parametrize(
    "content",
    [
        f"{OBJECT}\n{OBJECT}",
        f"nonsense, nonsense\n{OBJECT}",
        f"{OBJECT}\nnonsense, nonsense",
        "nonsense, alone",
        f"\n\n  {OBJECT}",
        json.dumps([OBJECT]),
    ],
)
def test_a_bad_line_among_good_ones_does_not_make_it_another_kind_of_file(content: str) -> None:
    """Nor do commas in JSON."""
    assert places(content.encode())
