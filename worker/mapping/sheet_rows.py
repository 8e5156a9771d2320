"""Rows of a spreadsheet (.xlsx), one at a time, each cell as text: what its CSV would have."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, time
from typing import Any, BinaryIO, Final

from openpyxl import load_workbook
from openpyxl.cell.cell import ERROR_CODES

from worker.mapping.rows import Header, Row, Unreadable

UNPACKED_MAX_BYTES: Final = 2 * 1024**3
TEXTS_MAX_BYTES: Final = 512 * 1024**2
"""The texts of a workbook stand in one file of it, which is held in memory."""

_TEXTS: Final = "xl/sharedStrings.xml"


def sheet_rows(file: BinaryIO, *, sheet: str | None = None) -> Iterator[Row]:
    """Each row below the header, with its number in the sheet.

    Args:
        file: can be sought in.
        sheet: its name; the first one by default.

    Raises:
        Unreadable: it is no workbook, or has no such sheet, or no header that is one.
    """
    _check_size(file)
    with closing(_opened(file)) as book:
        rows = _sheet(book, sheet).iter_rows(values_only=True)
        header: Header | None = None
        for number, values in enumerate(_guarded(rows), 1):
            place, cells = f"row {number}", [_text(value) for value in values]
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = Header(place, cells)
            else:
                yield place, _product(header, cells)


def _product(header: Header, cells: list[str]) -> dict[str, str] | Unreadable:
    # A sheet has no end of a row: what is missing there is empty.
    product = header.product(cells + [""] * max(0, header.width - len(cells)))
    if isinstance(product, dict):
        for name, cell in product.items():
            if cell in ERROR_CODES:
                return Unreadable(f"column {name[:40]!r} has {cell}, which is Excel's word for an error")
    return product


def _check_size(file: BinaryIO) -> None:
    try:
        parts = {part.filename: part.file_size for part in zipfile.ZipFile(file).infolist()}
    except (zipfile.BadZipFile, OSError, ValueError):
        raise Unreadable("is damaged: it begins as a spreadsheet (.xlsx) does and is none") from None
    if "xl/workbook.xml" not in parts:
        raise Unreadable("is a ZIP archive, but no spreadsheet of the kind .xlsx (.ods is not read)")
    if sum(parts.values()) > UNPACKED_MAX_BYTES or parts.get(_TEXTS, 0) > TEXTS_MAX_BYTES:
        raise Unreadable("is too large for a spreadsheet: save it as CSV")
    file.seek(0)


def _opened(file: BinaryIO) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and the like, which are not read
        try:
            return load_workbook(file, read_only=True, data_only=True)
        except Exception as error:  # whatever a damaged file makes of a parser
            raise Unreadable(f"cannot be read as a spreadsheet: {_named(error)}") from None


def _sheet(book: Any, name: str | None) -> Any:
    names = [sheet.title for sheet in book.worksheets]
    if not names or (name is not None and name not in names):
        raise Unreadable(f"has no sheet {name!r}, but {', '.join(map(repr, names)) or 'none'}")
    found = book[name or names[0]]
    found.reset_dimensions()  # some programs write a range that is too small
    return found


def _guarded(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    number = 0
    while True:
        number += 1
        try:
            values = next(rows, None)
        except Exception as error:
            raise Unreadable(f"row {number}: cannot be read: {_named(error)}") from None
        if values is None:
            return
        yield values


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    return value.isoformat() if isinstance(value, date | time) else str(value)
