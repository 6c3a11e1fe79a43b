"""Where queries of the application will find, or order, other rows in PostgreSQL than they did in SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdcsync.core.collations import is_built_in
from cdcsync.core.ddl.moved import Moved
from cdcsync.core.sqltext.kinds import kind_of
from cdcsync.core.types import parse
from cdcsync.words.nouns import NotCarried

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cdcsync.words.nouns import TablePlan

EVERYWHERE = "all tables"
_FOLDS = {
    "NOCASE": ("ignores the case of ASCII letters", 'lower(x COLLATE "C")'),
    "RTRIM": ("ignores spaces at the end", "rtrim(x, ' ')"),
}


def differences(plans: Sequence[TablePlan]) -> tuple[NotCarried, ...]:
    """Return where comparison, order and patterns behave otherwise: `what` it is, why, and how to write the query."""
    moved = {plan.name: Moved.of(plan) for plan in plans}
    found = [one for table in moved.values() for one in (*_collations(table), *_orders(table), *_parents(table, moved))]
    has_texts = any(_is_text(table, column.source) for table in moved.values() for column in table.plan.columns)
    return (*found, *(_of_all(texts=has_texts) if moved else ()))


def _collations(moved: Moved) -> Iterator[NotCarried]:
    for column in moved.plan.columns:
        collation = moved.scope.collations.get(column.source, "BINARY")
        if collation in _FOLDS and _is_text(moved, column.source):
            what, fold = _FOLDS[collation]
            reason = f"= {what} in SQLite, in PostgreSQL it does not"
            suggestion = f"compare and order by {fold}, which the indexes of the column are on"
            yield NotCarried(
                moved.plan.name, f"column {column.source} COLLATE {collation}", reason, suggestion, "collation"
            )
        elif not is_built_in(collation):
            reason = "only the application knows the collation, in PostgreSQL the column is compared by its bytes"
            suggestion = "CREATE COLLATION in PostgreSQL, and name it in the queries and indexes that need it"
            yield NotCarried(
                moved.plan.name, f"column {column.source} COLLATE {collation}", reason, suggestion, "collation"
            )


def _orders(moved: Moved) -> Iterator[NotCarried]:
    indexed = {part.name for index in moved.plan.table.indexes for part in index.columns}
    ordered = indexed | {part.name for part in moved.plan.key}
    texts = [column.source for column in moved.plan.columns if column.source in ordered]
    texts = [name for name in texts if _is_text(moved, name) and name not in _folded(moved)]
    if texts:
        reason = "SQLite orders texts by their bytes, PostgreSQL by the locale of the database"
        suggestion = 'ORDER BY x COLLATE "C" gives the order of SQLite'
        yield NotCarried(moved.plan.name, f"order of {', '.join(texts)}", reason, suggestion)


def _parents(moved: Moved, tables: Mapping[str, Moved]) -> Iterator[NotCarried]:
    for key in moved.plan.table.foreign_keys:
        parent = tables.get(key.parent)
        folded = [name for name in key.parent_columns if parent is not None and name in _folded(parent)]
        if folded:
            what = f"foreign key ({', '.join(key.columns)}) to {key.parent} ({', '.join(key.parent_columns)})"
            reason = f"SQLite finds the parent by the collation of {', '.join(folded)}, PostgreSQL by equal bytes"
            suggestion = "write the children's values as the parents have them, or the handover names them as orphans"
            yield NotCarried(moved.plan.name, what, reason, suggestion)


def _folded(moved: Moved) -> set[str]:
    return {name for name, collation in moved.scope.collations.items() if collation in _FOLDS}


def _is_text(moved: Moved, name: str) -> bool:
    column = next((column for column in moved.plan.columns if column.source == name), None)
    return column is not None and kind_of(column.type_sql) == "text" and parse(column.type_sql).base != "citext"


def _of_all(*, texts: bool) -> Iterator[NotCarried]:
    if texts:
        reason = "LIKE ignores the case of ASCII letters in SQLite, in PostgreSQL it does not"
        yield NotCarried(EVERYWHERE, "LIKE", reason, "write ILIKE, which ignores the case of all letters")
    reason = "NULLs come first in ascending order in SQLite, last in PostgreSQL, and indexes keep to PostgreSQL's way"
    yield NotCarried(EVERYWHERE, "ORDER BY", reason, "add NULLS FIRST, or NULLS LAST to DESC, where it matters")
