"""Copy the source file while it is in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from cdcsync.edges.source import connect, refuse_unusable
from cdcsync.words.errors import RefusedError, UsageError


def back_up(source: Path, copy: Path) -> None:
    """Write a consistent copy of the source to a new file.

    In one step: SQLite's backup begins again at each foreign write, and in small steps beside a busy writer it
    never ends. Raises UsageError where the file exists already, RefusedError where it cannot be written.
    """
    refuse_unusable(source)
    if copy.exists():
        message = f"backup file {copy} exists already: name another"
        raise UsageError(message)
    partial = copy.with_name(f"{copy.name}.partial")
    try:
        with closing(connect(source, mode="ro")) as here, closing(sqlite3.connect(partial)) as there:
            here.backup(there, pages=-1)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.rename(copy)
    except (OSError, sqlite3.Error) as error:
        partial.unlink(missing_ok=True)
        message = f"backup to {copy} failed: {error}; nothing else was done"
        raise RefusedError(message) from None
