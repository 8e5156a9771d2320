"""Products out of files: what a row is, which number it has, what is no catalogue."""

from __future__ import annotations

import gzip
import json
import zipfile
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from worker.cli.products import products
from worker.domain.unreadable import Unreadable
from worker.mapping import csv_rows

SHOP = Path(__file__).parents[2] / "data" / "shop"


def found(folder: Path, name: str, content: bytes, **reading: str) -> list[tuple[str, Any]]:
    """Places and products; of a fault its words."""
    file = folder / name
    file.write_bytes(content)
    with file.open("rb") as opened:
        read = list(products(opened, **reading))
    return [(place, str(each) if isinstance(each, ValueError) else each) for place, each in read]


def workbook(*rows: list[Any], second: list[Any] | None = None) -> bytes:
    book = Workbook()
    sheet: Any = book.active
    for row in rows:
        sheet.append(row)
    if second is not None:
        book.create_sheet("Second").append(second)
    file = BytesIO()
    book.save(file)
    return file.getvalue()


def test_the_shops_catalogue(tmp_path: Path) -> None:
    """A byte order mark, a comma within quotes, several URLs in a cell, a blank line at the end."""
    rows = found(tmp_path, "c.csv", (SHOP / "woocommerce_catalogue.csv").read_bytes())
    assert [(place, row["ID"], row["Name"]) for place, row in rows] == [
        ("line 2", "44", "Tee"),
        ("line 3", "76", "Tee red"),
        ("line 4", "77", "Tee, green"),
        ("line 5", "78", "No picture"),
    ]
    assert rows[0][1]["Images"].count("https://") == 2


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_each_dialect_is_read(newline: str, delimiter: str, encoding: str, tmp_path: Path) -> None:
    """Lines are counted as an editor shows them: blank ones and those within a cell, too."""
    lines = ["sku,name", "", 'a,"two', 'lines, ""so"""', "b,ü", ""]
    text = newline.join(lines).replace(",", delimiter)
    assert found(tmp_path, "c.csv", text.encode(encoding)) == [
        ("line 3", {"sku": "a", "name": f'two{newline}lines{delimiter} "so"'}),
        ("line 5", {"sku": "b", "name": "ü"}),
    ]


def test_excels_hint_names_the_delimiter(tmp_path: Path) -> None:
    """Its line counts."""
    assert found(tmp_path, "c.csv", b"sep=;\r\na;b,c\r\n1;2\r\n") == [("line 3", {"a": "1", "b,c": "2"})]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"1", "has 1 cells, and the header 2"),
        (b"1,2,3", "has 3 cells, and the header 2"),
        (b'1,"2"x', "a quote within a cell must be doubled"),
        (b"1,caf\xe9", "column 'b' has the byte 0xe9"),
    ],
)
def test_a_bad_row_does_not_stop_the_rest(line: bytes, words: str, tmp_path: Path) -> None:
    """It is named by its line."""
    rows = found(tmp_path, "c.csv", b"a,b\n1,2\n" + line + b"\n3,4,,\n")
    assert [place for place, _ in rows] == ["line 2", "line 3", "line 4"]
    assert words in rows[1][1]
    assert rows[2][1] == {"a": "3", "b": "4"}


def test_a_quote_that_is_never_closed_is_said(tmp_path: Path) -> None:
    """It swallows rows: not in silence."""
    rows = found(tmp_path, "c.csv", b'a,b\n1,2\n3,"4\n5,6\n7,8\n')
    assert rows[0] == ("line 2", {"a": "1", "b": "2"})
    assert rows[1][0] == "line 3"
    assert "never closed" in rows[1][1]


def test_a_cell_and_a_line_without_end_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of gigabytes is not read into memory."""
    long = b"x" * (csv_rows.CELL_MAX_CHARS + 1)
    with pytest.raises(Unreadable, match="line 2: a cell of more than"):
        found(tmp_path, "c.csv", b"a,b\n1," + long)
    monkeypatch.setattr(csv_rows, "LINE_MAX_CHARS", 1000)
    with pytest.raises(Unreadable, match="line 2: is longer than"):
        found(tmp_path, "c.csv", b"a,b\n1," + long[:2000])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("c.csv", b"", "is empty"),
        ("c.csv", b"\xef\xbb\xbf\r\n", "is empty"),
        ("c.csv", b"a,b,a\n1,2,3\n", "line 1: columns 1 and 3 are both called 'a'"),
        ("c.csv", b"caf\xe9,b\n1,2\n", "line 1: the header has the byte 0xe9"),
        ("c.csv", b"A-1,https://s.example/a.jpg\n", "line 1: the header is missing"),
        ("c.csv", b'"a,b\n1,2\n', "line 1: a quote is never closed"),
        ("c.csv", workbook(["a"], ["1"]), "is a spreadsheet (.xlsx) by its content"),
        ("c.csv", b'{"id": 1}', "is JSON by its content"),
        ("c.json", b"a,b\n1,2\n", "is CSV or other text by its content"),
        ("c.xlsx", b"a,b\n1,2\n", "is CSV or other text by its content"),
        ("c.csv", gzip.compress(b"a,b\n", mtime=0), "a gzip file"),
        ("c.csv", b"<html><table>", "looks like XML or HTML"),
        ("c.csv", "a,b\n1,2\n".encode("utf-16-le"), "UTF-16 text without its mark"),
        ("c.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1", "an old spreadsheet (.xls), or one with a password"),
        ("c.xlsx", b"PK\x03\x04 damaged", "is damaged"),
        ("c.csv", (SHOP / "149x160.jpg").read_bytes(), "looks like a picture"),
    ],
)
def test_what_is_no_catalogue_is_said(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    """Before any row of it is read."""
    with pytest.raises(Unreadable) as caught:
        found(tmp_path, name, content)
    assert words in str(caught.value)


def test_another_encoding_can_be_named(tmp_path: Path) -> None:
    """As Excel writes CSV in China."""
    content = "名称,b\n上衣,2\n".encode("gb18030")
    assert found(tmp_path, "c.csv", content, encoding="gb18030") == [("line 2", {"名称": "上衣", "b": "2"})]


def test_a_sheet_is_read_as_its_csv_would_be(tmp_path: Path) -> None:
    """Cells are text; rows have the sheet's numbers, blank ones and short ones too; errors are faults."""
    content = workbook(
        ["sku", "n", "x", "when"],
        [],
        ["a", 1, 1.0, datetime(2026, 1, 2)],
        ["b", 1.5, True],
        ["c", "#N/A", None, None],
        second=["other"],
    )
    rows = found(tmp_path, "c.xlsx", content)
    assert rows[:2] == [
        ("row 3", {"sku": "a", "n": "1", "x": "1", "when": "2026-01-02"}),
        ("row 4", {"sku": "b", "n": "1.5", "x": "TRUE", "when": ""}),
    ]
    assert rows[2] == ("row 5", "column 'n' has #N/A, which is Excel's word for an error")
    assert found(tmp_path, "c.xlsx", content, sheet="Second") == []
    with pytest.raises(Unreadable, match="has no sheet 'Third', but 'Sheet', 'Second'"):
        found(tmp_path, "c.xlsx", content, sheet="Third")


def test_another_archive_is_no_sheet(tmp_path: Path) -> None:
    """Such as an .ods, or a ZIP of pictures."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("content.xml", "x")
    with pytest.raises(Unreadable, match=r"no spreadsheet of the kind \.xlsx"):
        found(tmp_path, "c.xlsx", file.getvalue())


@pytest.mark.parametrize(
    ("content", "places"),
    [
        (b'{"id": 1}\n\n{"id": 2}\n', ["line 1", "line 3"]),
        (b'[{"id": 1}, {"id": 2}]', ["item 1", "item 2"]),
        (b'{"products": [{"id": 1}, {"id": 2}]}', ["product 1", "product 2"]),
        (b'{"product": {"id": 1}}\n{"product": {"id": 2}}', ["line 1", "line 2"]),
    ],
)
def test_products_as_json(content: bytes, places: list[str], tmp_path: Path) -> None:
    """By line, by item, and as shops' interfaces wrap them."""
    assert found(tmp_path, "c.json", content) == [(places[0], {"id": 1}), (places[1], {"id": 2})]


def test_what_is_no_product_in_json_is_a_fault(tmp_path: Path) -> None:
    """By its line."""
    assert found(tmp_path, "c.ndjson", b'{"id": 1}\n[1]\n{"id"\n') == [
        ("line 1", {"id": 1}),
        ("line 2", "must be a JSON object"),
        ("line 3", "not JSON: Expecting ':' delimiter (line 2, column 1)"),
    ]


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """Larger than what is looked at first."""
    rows = [{"id": number, "text": "x" * 100} for number in range(2000)]
    content = "\n".join(map(json.dumps, rows)).encode()
    assert [row for _, row in found(tmp_path, "pipe", content)] == rows
