"""Refusals: one line, the right exit code, and neither side changed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from support.postgres import PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Cli, Result

REFUSED, USAGE, UNKNOWN = 1, 2, 3
TYPICAL_VERBS = [("install",), ("run",), ("lag",)]


def fingerprint(source: Path) -> dict[str, str]:
    """Hash the source and its journals; -shm is no content, and an empty -wal is as good as none."""
    files = (path for path in source.parent.glob(f"{source.name}*") if path.is_file() and path.suffix != ".db-shm")
    contents = {path.name: path.read_bytes() for path in files}
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items() if content}


def assert_one_line(result: Result, *mentioned: str, lag: bool = False) -> None:
    """One line says what is wrong; it shows no password."""
    text = result.out if lag else result.err
    assert len(text.splitlines()) == 1, text
    assert text.startswith("CDCSYNC UNKNOWN - " if lag else "cdcsync: ")
    for word in mentioned:
        assert word in text, text
    assert PASSWORD not in result.out + result.err


def refuses(cli: Cli, verb: tuple[str, ...], source: Path, code: int, *mentioned: str) -> None:
    """Run a verb that must fail with one line and change neither side."""
    assert cli.database is not None
    before = fingerprint(source), cli.database.tables()
    is_lag = verb[0] == "lag"
    result = cli(*verb, expect=UNKNOWN if is_lag else code)
    assert_one_line(result, *mentioned, lag=is_lag)
    assert (fingerprint(source), cli.database.tables()) == before
    assert cli.database.sessions() == 0
