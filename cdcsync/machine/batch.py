"""What one read of the source found: the changes after the checkpoint, spooled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import astuple, dataclass, field, replace
from typing import Any, cast

from cdcsync.core.chunks import chunks
from cdcsync.core.keys import Key
from cdcsync.edges.spool import Row, Spool
from cdcsync.machine.context import anchor_at
from cdcsync.machine.refusals import entry
from cdcsync.machine.session import Session
from cdcsync.words.errors import BadValueError
from cdcsync.words.nouns import Position, QuarantinedRow, TableProgress

CHUNK_KEYS = 1000


class TableBatch:
    """The changes of one table, as of one state of the source.

    `rows`: current rows of changed keys; `gone`: sent keys the target must not have, of rows that are no more or cannot
    arrive; `low` is the entry above which its changes begin.
    """

    def __init__(self, number: int, low: int, spools: ExitStack) -> None:
        """Begin empty; `spools` closes what it holds."""
        self.number, self.low = number, low
        self.rows = spools.enter_context(Spool())
        self.gone = spools.enter_context(Spool())
        self._refused = spools.enter_context(Spool())
        self._looked_at = spools.enter_context(Spool())

    @property
    def count(self) -> int:
        """How many keys are in it."""
        return self.rows.count + self.gone.count

    @property
    def concerns_quarantine(self) -> bool:
        """Whether rows are set aside, or might be let go."""
        return bool(self._refused.count or self._looked_at.count)

    def set_aside(self, row: QuarantinedRow) -> None:
        """Take a row that cannot arrive."""
        self._refused.add([astuple(row)])

    def look_at(self, identities: list[str]) -> None:
        """Take identities of keys that were looked at: none of them is set aside any more, unless it is so again."""
        self._looked_at.add([(identity,) for identity in identities])

    def refused(self) -> Iterator[QuarantinedRow]:
        """Yield the rows that cannot arrive."""
        for rows in self._refused.chunks():
            # What set_aside took apart.
            yield from (QuarantinedRow(*cast("tuple[Any, ...]", row)) for row in rows)

    def looked_at(self) -> Iterator[str]:
        """Yield the identities of keys that were looked at."""
        for rows in self._looked_at.chunks():
            yield from (cast("str", identity) for (identity,) in rows)


@dataclass(slots=True)
class Batch:
    """What one read found. `complete`: it reached the head, so the target will equal a state of the source."""

    before: Position
    after: Position
    complete: bool
    tables: list[TableBatch] = field(default_factory=list)
    stale: list[TableProgress] = field(default_factory=list)
    joining: dict[int, int] = field(default_factory=dict)
    """Table number -> rows in the source at this very state, for tables that join the stream with this batch."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do, not even to move the position."""
        return self.after.seq == self.before.seq and not self.joining

    @property
    def count(self) -> int:
        """How many keys are in it."""
        return sum(table.count for table in self.tables)


def read_batch(session: Session, spools: ExitStack, limit: int | None) -> Batch:
    """Read the changes after the checkpoint, at most `limit` entries, inside a read transaction, into spools."""
    before = session.checkpoint.position
    session.refuse_drift()
    session.refuse_other_history(before)
    head = int(session.source.ask("head"))
    high = head if limit is None else min(head, before.seq + limit)
    complete = high == head
    batch = Batch(before, before, complete)
    if high != before.seq:
        batch.after = Position(before.epoch, high, anchor_at(session.source, high))
    changed = dict(session.source.rows("tables_changed", before.seq, high))
    for progress in session.checkpoint.tables:
        news = changed.get(progress.number, 0) > progress.start_seq
        if news and progress.state in {"copied", "joined", "stale"}:
            _read_table(session, spools, batch, progress)
        if progress.state == "copied" and complete and session.plans[progress.number].key:
            batch.joining[progress.number] = session.count_source(progress.number)
    return batch


def _read_table(session: Session, spools: ExitStack, batch: Batch, progress: TableProgress) -> None:
    if not session.plans[progress.number].key:
        if progress.state != "stale":
            batch.stale.append(replace(progress, state="stale"))
        return
    # The copy of this table began later than the stream: what came before is in it already.
    low, high = max(batch.before.seq, progress.start_seq), batch.after.seq
    table = TableBatch(progress.number, low, spools)
    reader = session.readers[progress.number]
    connection, keys = session.source.connection, reader.keys
    reader.present(connection, low, high, table.rows, lambda bad: refuse(session, table, bad))
    with_null: list[Key] = []
    for gone in keys.gone(connection, low, high):
        table.gone.add([sent for key in gone if (sent := keys.sent(key)) is not None])
        with_null += [key for key in gone if any(storage == "null" for storage, _ in key)]
    for key in with_null:
        if rows := keys.count(connection, key):
            table.set_aside(keys.null_rows(key, rows))
    if progress.number in session.quarantined:
        for some in chunks(keys.logged(connection, low, high), CHUNK_KEYS):
            table.look_at([keys.identity(key) for key in some])
    if table.count or table.concerns_quarantine:
        batch.tables.append(table)


def refuse(session: Session, table: TableBatch, bad: BadValueError) -> None:
    """Set a row aside that the codecs refused; the target's older version of it goes."""
    reader = session.readers[table.number]
    table.set_aside(entry(reader, bad))
    sent: Row | None = reader.keys.sent(bad.source_key)
    if sent is not None:
        table.gone.add([sent])
