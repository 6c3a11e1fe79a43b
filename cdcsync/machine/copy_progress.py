"""How far the copy is: which tables are still to come, in which order, and how long they will take."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.checkpoint import CheckpointStore
from cdcsync.edges.source import Source
from cdcsync.words.nouns import Checkpoint, TableProgress


@dataclass(slots=True)
class CopyProgress:
    """`order`: the tables that are not copied yet, as they will be. `seconds`: for each what is left, None unknown."""

    order: list[str] = field(default_factory=list)
    seconds: dict[str, float | None] = field(default_factory=dict)

    @property
    def total_seconds(self) -> float | None:
        """What is left of all; None where a table's part cannot be told, or where nothing is left."""
        known = [self.seconds[name] for name in self.order]
        parts = [one for one in known if one is not None]
        return round(sum(parts), 1) if parts and len(parts) == len(known) else None


def copy_progress(source: Source, store: CheckpointStore, checkpoint: Checkpoint) -> CopyProgress:
    """Estimate from the rows a second of the last commits; a table that has none yet is like the last one."""
    waiting = [one for one in checkpoint.tables if one.state in {"pending", "copying"}]
    rates = store.copy_rates()
    newest = next(iter(rates.values()), None)
    found = CopyProgress([one.name for one in waiting])
    for one in waiting:
        rate, rows = rates.get(one.number, newest), _rows(source, one)
        left = None if rows is None else max(rows - one.rows_copied, 0)
        found.seconds[one.name] = None if not rate or left is None else round(left / rate, 1)
    return found


def _rows(source: Source, progress: TableProgress) -> int | None:
    """Return about how many rows a table has; counting those of a table whose copy has not begun could take long."""
    if progress.rows_total is not None:
        return progress.rows_total
    try:
        rows = source.ask("rows_at_most", table=sqlite_name(progress.name))
    except sqlite3.OperationalError:
        return None
    return rows if isinstance(rows, int) else 0 if rows is None else None
