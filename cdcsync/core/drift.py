"""What happened to captured tables since their triggers were made, told from the texts SQLite keeps of its schema."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

DriftKind: TypeAlias = Literal["changed", "rebuilt", "uncaptured", "renamed", "dropped"]
"""changed: its text or a unique index of it; rebuilt: table or triggers were made anew; uncaptured: a trigger of ours
is missing, or ended by a newer one of the application's; renamed: our triggers are on a table of another name, or its
name is spelled in another case; dropped: there is none."""

LAST_TABLE = "_cdcsync_tables"
LAST_VIEW = "_cdcsync_last"
"""What an installation makes last: a table behind the one, a trigger behind the other was made later, by somebody."""


@dataclass(frozen=True, slots=True)
class SchemaObject:
    """A row of sqlite_master that capture depends on. `place` is its number there.

    VACUUM numbers the rows anew; it keeps the order of tables, and that of triggers and views.
    """

    kind: str
    name: str
    table: str
    sql: str | None
    place: int

    @property
    def is_ours(self) -> bool:
        """Whether cdcsync made it."""
        return self.name.startswith("_cdcsync_")


@dataclass(frozen=True, slots=True)
class Registered:
    """A captured table as it was written down when its triggers were made."""

    number: int
    name: str
    shape: str


@dataclass(frozen=True, slots=True)
class TableDrift:
    """A captured table that is not what it was; `now` is its new name where it was renamed."""

    number: int
    name: str
    kind: DriftKind
    now: str | None = None

    def __str__(self) -> str:
        """Say it in a line."""
        told = {
            "changed": "was altered, or a unique index of it",
            "rebuilt": "was rebuilt, which drops triggers",
            "uncaptured": "lost a trigger, or has a newer one that ends ours",
            "renamed": f"is called {self.now} now",
            "dropped": "was dropped",
        }
        return f"table {self.name} {told[self.kind]}"


def shape(objects: Iterable[SchemaObject], number: int, name: str) -> str:
    """Return a hash of what capturing one table depends on: its text, its unique indexes, our triggers.

    The number of triggers stands in front, so that a missing one can be told from another text.
    """
    own = sorted((o.kind, o.name, o.sql or "") for o in objects if o.table == name and _counts(o, number))
    triggers = sum(kind == "trigger" for kind, _, _ in own)
    return f"{triggers}:{hashlib.sha256(repr(own).encode()).hexdigest()}"


def shapes(objects: Sequence[SchemaObject], names: Mapping[int, str]) -> dict[int, str]:
    """Return the shape of each table, by number."""
    by_table = _by_table(objects)
    return {number: shape(by_table.get(name, ()), number, name) for number, name in names.items()}


def find_drift(registered: Sequence[Registered], objects: Sequence[SchemaObject]) -> tuple[TableDrift, ...]:
    """Return the registered tables that are not as they were, in order of their numbers."""
    by_table = _by_table(objects)
    tables = {o.name: o for o in objects if o.kind == "table"}
    spelled = {name.lower(): name for name in tables}
    last = {o.kind: o.place for o in objects if o.name in {LAST_TABLE, LAST_VIEW}}
    found = []
    for known in registered:
        own = by_table.get(known.name, [])
        now = shape(own, known.number, known.name)
        if known.name not in tables:
            elsewhere = _table_of_triggers(objects, known.number) or spelled.get(known.name.lower())
            kind: DriftKind = "dropped" if elsewhere is None else "renamed"
            found.append(TableDrift(known.number, known.name, kind, elsewhere))
        elif _was_made_later(known, own, last):
            # Even if someone made our triggers again: what was copied from the old table is in no entry.
            found.append(TableDrift(known.number, known.name, "rebuilt"))
        elif any(o.place > last.get("view", 0) for o in own if o.kind == "trigger" and not o.is_ours):
            # Triggers run newest first, and RAISE(IGNORE) in one ends the others: ours have to be the newest.
            found.append(TableDrift(known.number, known.name, "uncaptured"))
        elif now != known.shape:
            fewer = int(now.partition(":")[0]) < int(known.shape.partition(":")[0])
            found.append(TableDrift(known.number, known.name, "uncaptured" if fewer else "changed"))
    return tuple(found)


def _was_made_later(known: Registered, own: Iterable[SchemaObject], last: Mapping[str, int]) -> bool:
    """Where the view is gone nobody can tell any more, so it counts as if everything were."""
    behind = {"table": last.get("table", 0), "trigger": last.get("view", 0)}
    ours = (o for o in own if o.kind == "table" or (o.kind == "trigger" and _counts(o, known.number)))
    return any(o.place > behind[o.kind] for o in ours)


def _counts(item: SchemaObject, number: int) -> bool:
    """The application's own triggers and plain indexes are not our business."""
    if item.kind == "trigger":
        return item.name.startswith(f"_cdcsync_{number}_")
    return item.kind == "table" or item.sql is None or item.sql[:13].upper() == "CREATE UNIQUE"


def _by_table(objects: Iterable[SchemaObject]) -> dict[str, list[SchemaObject]]:
    found: dict[str, list[SchemaObject]] = {}
    for item in objects:
        found.setdefault(item.table, []).append(item)
    return found


def _table_of_triggers(objects: Iterable[SchemaObject], number: int) -> str | None:
    return next((o.table for o in objects if o.kind == "trigger" and o.name.startswith(f"_cdcsync_{number}_")), None)
