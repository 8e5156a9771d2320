"""A bar over the bytes of a file, on standard error, where a person watches."""

from __future__ import annotations

import importlib.util
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

Update = Callable[[int], None]
"""To be called with the number of jobs so far; what is not to be shown does nothing."""


@contextmanager
def progress(file: BinaryIO, label: str) -> Iterator[Update]:
    """Show how far the file has been read, until the block ends; nothing where no terminal is.

    The bar needs rich, which a base install is without: there is none then.
    """
    status = os.fstat(file.fileno())  # only a regular file has a size
    if not (sys.stderr.isatty() and stat.S_ISREG(status.st_mode) and importlib.util.find_spec("rich")):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[jobs]:,} jobs"),
        TimeRemainingColumn(),
    )
    # Standard output is left alone: it may be a pipe.
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task(label, total=status.st_size, jobs=0)
        yield lambda jobs: bar.update(task, completed=file.tell(), jobs=jobs)
