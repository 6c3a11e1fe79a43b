"""What the scan finds in a source, without a target: for tests about values alone."""

from __future__ import annotations

import sqlite3
import tomllib
from contextlib import closing
from typing import TYPE_CHECKING, Any

from cdcsync.edges.source import Source
from cdcsync.machine.check import check
from cdcsync.machine.context import Context, proposed_plans
from cdcsync.machine.findings_values import value_findings
from cdcsync.machine.propose import evidence
from cdcsync.machine.scan import Values, scan
from cdcsync.words.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cdcsync.core.mapping_file import Evidence
    from cdcsync.words.nouns import Finding
    from support.pair import Pair


def nobody_watches(_table: str, _rows: int) -> None:
    """Show no progress."""


def make_source(path: Path, schema: str, rows: dict[str, Sequence[Sequence[object]]] | None = None) -> Path:
    """Make a source in WAL mode."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = wal")
        db.execute("PRAGMA synchronous = OFF")
        db.executescript(schema)
        for table, values in (rows or {}).items():
            if not values:
                continue
            db.execute("BEGIN")
            db.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values[0]))})", values)
            db.execute("COMMIT")
    return path


def findings_of_values(path: Path, tables: dict[str, Any] | None = None) -> list[Finding]:
    """Return what `check` says of the values of all tables."""
    settings = Settings(source=path, tables=tables or {})
    with Source(path) as source:
        found = []
        for plan in proposed_plans(source, settings)[1]:
            values = Values(plan)
            scan(source, plan, [values], nobody_watches)
            found += value_findings(source, plan, values, settings, in_place=False)
        return found


def evidence_of(path: Path, tables: dict[str, Any] | None = None) -> Evidence:
    """Return what `plan` finds."""
    settings = Settings(source=path, tables=tables or {})
    with Source(path) as source:
        return evidence(source, proposed_plans(source, settings)[1], settings, nobody_watches)


def checked(pair: Pair) -> list[Finding]:
    """Return all that `check` finds."""
    with Context(pair.settings) as context:
        return check(context, nobody_watches)


def told_by(fix: str) -> dict[str, Any]:
    """Read the lines a finding advises, as the settings file would."""
    return dict(tomllib.loads(fix)["tables"])
