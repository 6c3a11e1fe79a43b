"""Which rows REPLACE is about to delete, as conditions for the BEFORE triggers: `victim` against the arriving row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

from cdcsync.core.quoting import sqlite_name
from cdcsync.core.sqltext.lexer import group, spanned, split, tokens
from cdcsync.edges.arriving import Arriving, affinity, index_where
from cdcsync.edges.statements import trigger_template
from cdcsync.words.nouns import Index, IndexColumn, KeyColumn, Table

_UNKNOWN = "it needs a function or collation that only the application knows"


def collisions(table: Table) -> list[str]:
    """Return the conditions under which a row loses its place to the arriving one, one for each unique index.

    The rowid is among them even where it is the key: a trigger of the application's may stop the statement between the
    victim's end and the new row's beginning.
    """
    arriving = Arriving(table)
    unique = _unique_indexes(table)
    conditions = [_collides(arriving, index) for index in unique]
    if (rowid := rowid_name(table)) is not None:
        conditions.append(f"victim.{rowid} = new.{rowid}")
    defaulted = dict.fromkeys(column for index in unique for column in _read_by(arriving, index))
    # Nobody knows what such a default will be: any row may stand in its way.
    conditions += [f"new.{sqlite_name(name)} IS NULL" for name in defaulted if arriving.is_unforeseeable(name)]
    return conditions


def changes(table: Table, key: tuple[KeyColumn, ...]) -> list[str]:
    """Return the conditions under which an update moves a key, or can take a place that another row holds."""
    found = _changes(table, key, _unique_indexes(table))
    rowid = rowid_name(table)
    exact = {column.name for column in key}
    return found if rowid is None or table.rowid_key in exact else [*found, f"old.{rowid} <> new.{rowid}"]


def cascading_changes(table: Table, key: tuple[KeyColumn, ...]) -> list[str]:
    """Return the conditions under which an update moves a key, or may set off a cascade.

    Foreign keys refer to whole unique indexes on plain columns.
    """
    named = (index for index in _unique_indexes(table) if index_where(index) is None and not index_expressions(index))
    return _changes(table, key, named)


def _changes(table: Table, key: tuple[KeyColumn, ...], indexes: Iterable[Index]) -> list[str]:
    arriving = Arriving(table)
    exact = dict.fromkeys((column.name for column in key), True)
    for index in indexes:
        compared = {column.name for column in index.columns} if index_where(index) is None else set()
        for name in _read_by(arriving, index):
            # Only an expression can tell 1 from 1.0.
            exact[name] = exact.get(name, False) or name not in compared
    return [moved(name) if is_exact else _differs(name) for name, is_exact in exact.items()]


def moved(column: str) -> str:
    """Return the condition under which an update changes a column's bytes or storage class.

    The column's own collation would call 'Ab' and 'AB' the same.
    """
    name = sqlite_name(column)
    return f"{_differs(column)} OR typeof(old.{name}) <> typeof(new.{name})"


def uncapturable(table: Table, key: tuple[KeyColumn, ...]) -> Iterator[tuple[str, str]]:
    """Yield what keeps a table from being captured, each with the reason: unique indexes, and columns of the key."""
    arriving = Arriving(table)
    for index in _unique_indexes(table):
        computed = _computed(arriving, index)
        read = arriving.stored(computed, (column.name for column in index.columns if column.name is not None))
        if reason := _hidden(arriving, computed, read) or ("" if _compiles(table, index) else _UNKNOWN):
            yield f"unique index {index.name}", reason
    for column in key:
        made_from = (table.column(name) for name in arriving.needed((), [column.name]))
        if any(one.generated and affinity(one, strict=table.strict) == "double precision" for one in made_from):
            reason = "it is generated from floats, whose whole numbers SQLite hands to triggers as integers"
            yield f"key column {column.name}", reason


def _hidden(arriving: Arriving, computed: list[str], read: list[str]) -> str:
    """Return why the arriving row's place in an index cannot be computed before it is there; empty if it can."""
    table = arriving.table
    if any(arriving.needs_rowid(text) for text in computed):
        return f"it is made from {table.rowid_key}, which SQLite may choose only after BEFORE triggers have run"
    if any(name.lower() in {"true", "false"} for name in arriving.needed(computed)):
        return "it is made from a column whose name SQLite takes for a truth value"
    if any(table.column(name).generated for name in read):
        return "it is on a generated column whose expression could not be found in the table's text"
    return ""


def index_expressions(index: Index) -> list[str]:
    """Return the expressions of an index in order, as its CREATE INDEX text spells them.

    COLLATE stays where it stands: in a = 'b' COLLATE NOCASE it is part of the comparison.
    """
    if index.sql is None:
        return []
    found = tokens(index.sql)
    on = next(place for place, token in enumerate(found) if token.word == "ON")
    listed, _ = group(found, next(place for place in range(on, len(found)) if found[place].text == "("))
    terms = [term[:-1] if term[-1].word in {"ASC", "DESC"} else term for term in split(listed)]
    texts = [spanned(index.sql, term) for term in terms]
    return [text for text, column in zip(texts, index.columns, strict=True) if column.name is None]


def _unique_indexes(table: Table) -> list[Index]:
    """Leave out indexes with the rowid in them: they are as unique as the rowid alone."""
    return [
        index
        for index in table.indexes
        if index.unique and (table.rowid_key is None or table.rowid_key not in {c.name for c in index.columns})
    ]


def _computed(arriving: Arriving, index: Index) -> list[str]:
    """Return what the index computes: its own expressions, and those of its generated columns."""
    names = [column.name for column in index.columns if column.name in arriving.generated]
    return [*index_expressions(index), *(arriving.generated[name] for name in names)]


def _read_by(arriving: Arriving, index: Index) -> list[str]:
    """Return the stored columns that decide what the index holds of a row."""
    plain = [column.name for column in index.columns if column.name is not None]
    where = index_where(index)
    return arriving.stored([*index_expressions(index), *([] if where is None else [where])], plain)


def rowid_name(table: Table) -> str | None:
    """Return a name the rowid can be reached by, if there is one."""
    return table.hidden_rowid or (None if table.rowid_key is None else sqlite_name(table.rowid_key))


def _differs(column: str) -> str:
    name = sqlite_name(column)
    return f"old.{name} COLLATE BINARY IS NOT new.{name} COLLATE BINARY"


def _compiles(table: Table, index: Index) -> bool:
    if not _computed(Arriving(table), index):
        return True
    with closing(sqlite3.connect(":memory:")) as empty:
        try:
            empty.execute(table.sql)
            if index.sql is not None:
                empty.execute(index.sql)
        except sqlite3.Error:
            return False
    return True


def _collides(arriving: Arriving, index: Index) -> str:
    """Return the condition under which `victim` and the arriving row collide in a unique index, by its collation.

    A partial index's predicate holds for every victim and lets SQLite use the index. Whether it holds for the
    arriving row is not asked: too many entries do no harm.
    """
    terms = []
    expressions = iter(index_expressions(index))
    where = index_where(index)
    for column in index.columns:
        text = next(expressions) if column.name is None else arriving.computed(column.name)
        if text is not None:
            terms.append(_computes_same(arriving, column, text, where))
        elif column.name is not None:
            collation, value = sqlite_name(column.collation), arriving.value(column.name)
            terms.append(f"victim.{sqlite_name(column.name)} = {value} COLLATE {collation}")
    return " AND ".join([*terms, *([] if where is None else [f"({arriving.in_body(where)})"])])


def _computes_same(arriving: Arriving, column: IndexColumn, text: str, where: str | None) -> str:
    """Return the condition for an expression; the left side can use the index.

    An expression that fails on malformed JSON is asked for no row that cannot arrive: the application expects the
    failure of its own CHECK, or no failure at all outside a partial index.
    """
    guards = []
    if _reads_json(text):
        guards = [f"coalesce({check}, 1)" for check in arriving.checks if _reads_json(check)]
        guards += [] if where is None else [where]
    guards = [guard for guard in guards if not arriving.needs_rowid(guard)]
    expression = f"({arriving.in_body(text)})"
    holds = " AND ".join(f"({arriving.in_body(guard)})" for guard in guards)
    return trigger_template("expression").substitute(
        victim=expression if column.name is None else f"victim.{sqlite_name(column.name)}",
        arriving=f"CASE WHEN {holds} THEN {expression} END" if holds else expression,
        row=arriving.row([text, *guards]),
        collation=sqlite_name(column.collation),
    )


def _reads_json(text: str) -> bool:
    return any(token.word.startswith("JSON") or token.text in {"->", "->>"} for token in tokens(text))
