"""The nouns of the trade, as plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

Value: TypeAlias = int | float | str | bytes | None
"""A value as SQLite hands it over: text is `str`, a blob (or text that is not UTF-8) is `bytes`."""

StorageClass: TypeAlias = Literal["null", "integer", "real", "text", "blob"]

TableState: TypeAlias = Literal["pending", "copying", "repairing", "copied", "joined", "stale", "dropped"]
"""pending: not begun; copying: rows arrive page by page; repairing: its rows are compared with the source and mended;
copied: waits for the catch-up that joins it; joined: part of the stream; stale: has no key, changed since it was last
copied whole; dropped: the source has it no more, its copy stays as it was."""

TextPolicy: TypeAlias = Literal["quarantine", "strip", "escape"]
"""What becomes of a text PostgreSQL cannot store: it is refused, loses the character, or shows it as an escape."""

FinerPolicy: TypeAlias = Literal["quarantine", "truncate"]
"""What becomes of a time with more decimals than its type keeps: it is refused, or they are cut off."""

State: TypeAlias = Literal["installed", "copying", "catching_up", "streaming", "fenced", "cut_over", "stopped"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a source table as `pragma table_xinfo` tells it."""

    name: str
    declared_type: str
    not_null: bool = False
    default: str | None = None
    primary_key: int = 0
    generated: bool = False


@dataclass(frozen=True, slots=True)
class IndexColumn:
    """One column of an index with the collation the index itself uses; `name` is None for an expression."""

    name: str | None
    collation: str = "BINARY"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a source table; `sql` is None for those SQLite makes for a constraint."""

    name: str
    columns: tuple[IndexColumn, ...]
    unique: bool
    partial: bool
    origin: Literal["c", "u", "pk"]
    sql: str | None = None


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key; `parent_columns` are resolved to the parent's primary key when the schema names none."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_update: str = "NO ACTION"
    on_delete: str = "NO ACTION"


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column of the key with the collation of the index that keeps it unique."""

    name: str
    collation: str = "BINARY"


@dataclass(frozen=True, slots=True)
class Table:
    """An ordinary table of the source.

    `key` identifies a row for capture; empty when the table has neither a primary key nor a UNIQUE index on
    NOT NULL columns. `rowid_key` is the column that is an alias of the rowid; `hidden_rowid` is the name by
    which the rowid can still be reached, None for WITHOUT ROWID or when columns shadow all three names.
    """

    name: str
    sql: str
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    key: tuple[KeyColumn, ...] = ()
    rowid_key: str | None = None
    hidden_rowid: str | None = None
    without_rowid: bool = False
    strict: bool = False

    def column(self, name: str) -> Column:
        """Return the column of exactly this name; KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def key_names(self) -> tuple[str, ...]:
        """The names of the key columns in key order."""
        return tuple(column.name for column in self.key)


@dataclass(frozen=True, slots=True)
class SourceSchema:
    """What a source database holds: tables to move, and what is left alone with the reason for each."""

    tables: tuple[Table, ...]
    not_migrated: tuple[tuple[str, str], ...] = ()

    def table(self, name: str) -> Table:
        """Return the table of exactly this name; KeyError if there is none."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the changelog holds at a position, so that a reused seq is recognised as another history."""

    at: float
    key: str


@dataclass(frozen=True, slots=True)
class Position:
    """A place in one history of the changelog: all entries up to and including `seq` are applied."""

    epoch: str
    seq: int
    anchor: Anchor | None = None


@dataclass(frozen=True, slots=True)
class TableProgress:
    """Where one table stands: entries above `start_seq` are not in its copy and come from the stream.

    `cursor` is the key of the last copied row, as `core.keys.dump` writes it.
    """

    number: int
    name: str
    state: TableState
    start_seq: int = 0
    cursor: str | None = None
    rows_copied: int = 0
    rows_total: int | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The stored position of a source with its owner; both are compared in every transaction of ours."""

    position: Position
    state: State
    owner: str | None
    role: str | None
    consistent_seq: int | None = None
    tables: tuple[TableProgress, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not the same on both sides; `column` is None when the whole row is missing or extra."""

    table: str
    key: str
    column: str | None
    source: str | None
    target: str | None


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """A row PostgreSQL cannot hold, which is therefore not in the target.

    `identity` is a digest of its key, `key` the key as `core.keys.dump` writes it, `shown_key` as people read it.
    `rows`: more than one where the key holds a NULL, which several rows may share.
    """

    identity: str
    key: str
    shown_key: str
    column: str
    value: str
    reason: str
    rows: int = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """Something `check` has to say, with the rule that mends it."""

    severity: Literal["blocking", "warning", "info"]
    code: str
    message: str
    fix: str = ""
    table: str | None = None
    column: str | None = None
    count: int | None = None
    sample_keys: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """How one column arrives: `type_sql` is a PostgreSQL type as `format_type` spells it.

    `format` is how a time or a UUID is written; a codec that does not know it takes its type's usual form.
    `default` and `check` are PostgreSQL expressions given by the mapping; None means carry the source's own.
    """

    source: str
    target: str
    type_sql: str
    format: str = "iso"
    naive: str | None = None
    not_null: bool = False
    default: str | None = None
    check: str | None = None
    identity: bool = False
    on_nul: TextPolicy = "quarantine"
    on_bad_utf8: TextPolicy = "quarantine"
    on_finer: FinerPolicy = "quarantine"


@dataclass(frozen=True, slots=True)
class TablePlan:
    """How one table arrives: columns in target order; `key` in key order, empty when the table has none."""

    table: Table
    target: str
    columns: tuple[ColumnPlan, ...]
    key: tuple[KeyColumn, ...]
    number: int = 0

    @property
    def name(self) -> str:
        """The name of the source table."""
        return self.table.name

    @property
    def key_plans(self) -> tuple[ColumnPlan, ...]:
        """The plans of the key columns, in key order."""
        by_name = {column.source: column for column in self.columns}
        return tuple(by_name[column.name] for column in self.key)


Phase: TypeAlias = Literal[
    "table",
    "default",
    "check",
    "not_null",
    "unique",
    "index",
    "source_check",
    "exclusion",
    "foreign_key",
    "trigger",
]


@dataclass(frozen=True, slots=True)
class TargetStatement:
    """One statement that builds the target, and when it may run.

    table: at install, must succeed. default, check: at install, each on its own; one that PostgreSQL refuses
    is listed. not_null: like unique, for a column added later. unique: after the first catch-up. index: after the
    copy. source_check, exclusion, foreign_key, trigger: at the handover. A check is the mapping's own, a source_check
    the source's, which may have rows that break it.
    """

    phase: Phase
    table: str
    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class PendingDdl:
    """A statement that completes the target later, or did (`done`). `detached`: it brings back what stood there.

    `error` is why PostgreSQL refused it when it was tried.
    """

    place: int
    phase: str
    table: str
    name: str
    statement: str
    detached: bool
    done: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A drift: capture was interrupted between `since` and `until`, or the schema changed; see core.drift."""

    number: int
    table: str
    kind: str
    answer: str
    since: datetime | None
    until: datetime | None
    rows_mended: int | None
    closed_at: datetime | None


NotCarriedKind: TypeAlias = Literal["check", "collation", "default", "foreign_key", "generated", "index"]


@dataclass(frozen=True, slots=True)
class NotCarried:
    """A part of the source schema that does not arrive in the target: what, why, and what to do instead.

    `kind` is what it is of many, such as "check"; `column` is named where it belongs to one.
    """

    table: str
    what: str
    reason: str
    suggestion: str = ""
    kind: NotCarriedKind | None = None
    column: str | None = None
