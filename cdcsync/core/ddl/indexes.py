"""Indexes, and the UNIQUE constraints that SQLite keeps as such."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.ddl.build import identifiers
from cdcsync.core.ddl.index_terms import index_condition, index_terms
from cdcsync.core.sqltext.refusal import UntranslatableError
from cdcsync.core.types import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cdcsync.core.ddl.build import Build
    from cdcsync.core.ddl.moved import Moved
    from cdcsync.words.nouns import ColumnPlan, Index, TablePlan

_UNIQUE = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} UNIQUE ({})")
_UNIQUE_INDEX = sql.SQL("CREATE UNIQUE INDEX {} ON {} ({}){}")
_INDEX = sql.SQL("CREATE INDEX {} ON {} ({}){}")
_HASHED = sql.SQL("CREATE {} ON {} ({})")
_LONG = {"text", "character varying", "character", "bytea"}


def add_unique(build: Build, moved: Moved) -> None:
    """Add what keeps columns unique besides the key."""
    rowid = moved.plan.table.rowid_key
    arrives = any(column.source == rowid for column in moved.plan.columns)
    if rowid is not None and arrives and not moved.primary:
        # The mapping chose another key: an INTEGER PRIMARY KEY has no index that would be met below.
        column = moved.target(rowid)
        _add_constraint(build, moved, f"{moved.plan.target}_{column}_key", identifiers([column]))
        moved.unique_sets.append(frozenset({rowid}))
    for index in moved.plan.table.indexes:
        if index.unique:
            _add(build, moved, index)


def add_indexes(build: Build, moved: Moved) -> None:
    """Add the indexes that only make queries fast."""
    for index in moved.plan.table.indexes:
        if not index.unique:
            _add(build, moved, index)


def hashed_index(schema: str, plan: TablePlan, columns: Sequence[ColumnPlan], *, unique: bool) -> str:
    """Return an index that takes values of any length: it finds what is equal, and keeps apart what is not."""
    terms = []
    for column in columns:
        name = sql.Identifier(column.target)
        terms.append(sql.SQL("md5({})").format(name) if parse(column.type_sql).base in _LONG else name)
    kind = sql.SQL("UNIQUE INDEX") if unique else sql.SQL("INDEX")
    return _HASHED.format(kind, sql.Identifier(schema, plan.target), sql.SQL(", ").join(terms)).as_string()


def _add(build: Build, moved: Moved, index: Index) -> None:
    own = index.origin == "c"
    names = [column.name for column in index.columns if column.name is not None]
    what = f"index {index.name}" if own else f"UNIQUE ({', '.join(names)})"
    try:
        terms, plain = index_terms(build, moved, index, what)
        where = index_condition(moved, index)
    except UntranslatableError as error:
        build.leave(moved, what, error, "create an equivalent index after the cutover", kind="index")
        return
    if plain and index is moved.key_index:
        return
    if plain and index.unique and not index.partial:
        moved.unique_sets.append(frozenset(names))
    columns = sql.SQL(", ").join(terms)
    made = "_".join([moved.plan.target, *map(moved.target, names), "key"])
    if plain and not own:
        _add_constraint(build, moved, moved.declared_name("unique", names) or made, columns)
        return
    keeps_name = own and index is not moved.key_index
    name = build.kept[index.name] if keeps_name else build.names.pick(made)
    if keeps_name and name != index.name:
        reason = f"it is called {name} in PostgreSQL, where names have 63 bytes and tables and indexes share them"
        build.leave(moved, f"name of index {index.name}", reason)
    skeleton = _UNIQUE_INDEX if index.unique else _INDEX
    statement = skeleton.format(sql.Identifier(name), build.relation(moved), columns, where)
    build.add("unique" if index.unique else "index", moved, name, statement)


def _add_constraint(build: Build, moved: Moved, wanted: str, columns: sql.Composable) -> None:
    name = build.constraint(moved, wanted)
    build.add("unique", moved, name, _UNIQUE.format(build.relation(moved), sql.Identifier(name), columns))
