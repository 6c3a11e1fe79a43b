"""Write rows to one target table: COPY, idempotent upsert, delete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from psycopg import sql

from cdcsync.core.convert import Sent
from cdcsync.edges.spool import Row
from cdcsync.edges.statements import postgres_statement
from cdcsync.edges.target import Target, column_list, table_name
from cdcsync.words.nouns import TablePlan

_FILE = "apply.sql"


class TableWriter:
    """The statements of one target table, composed once."""

    def __init__(self, plan: TablePlan, schema: str) -> None:
        """Compose the statements of a plan for a target schema."""
        self.plan = plan
        columns = [column.target for column in plan.columns]
        key = [column.target for column in plan.key_plans]
        others = [name for name in columns if name not in key]
        stage = sql.Identifier(f"_cdcsync_stage_{plan.number}")
        staged_keys = sql.Identifier(f"_cdcsync_keys_{plan.number}")
        self.names: dict[str, sql.Composable] = {
            "table": table_name(schema, plan.target),
            "columns": column_list(columns),
            "key": column_list(key),
            "values": sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
            "stage": sql.SQL("pg_temp.{}").format(stage),
            "same_key": _pairs("s", "t", key, sql.SQL(" AND ")),
            "action": _action(others),
        }
        self._key_names: dict[str, sql.Composable] = {
            **self.names,
            "columns": column_list(key),
            "values": sql.SQL(", ").join([sql.Placeholder()] * len(key)),
            "stage": sql.SQL("pg_temp.{}").format(staged_keys),
        }
        places = {column.source: place for place, column in enumerate(plan.columns)}
        self._key_places = [places[column.name] for column in plan.key]

    def copy(self, target: Target, chunks: Iterable[list[Row]]) -> int:
        """COPY rows straight into the table and return how many there were."""
        return _copy(target, postgres_statement(_FILE, "copy").format(**self.names), chunks)

    def empty(self, target: Target) -> None:
        """Delete all rows."""
        target.execute(_FILE, "empty", self.names)

    def count(self, target: Target) -> int:
        """Count the rows of the table."""
        return int(target.ask(_FILE, "count", self.names)[0])

    def analyze(self, target: Target) -> None:
        """Collect statistics: without them the first queries after the switch are slow."""
        target.execute(_FILE, "analyze", self.names)

    def upsert_few(self, target: Target, rows: list[Row]) -> None:
        """Upsert row by row: the light road for small batches, good inside a pipeline."""
        self._many(target, "upsert_one", self.names, rows)

    def delete_few(self, target: Target, keys: list[Row]) -> None:
        """Delete key by key."""
        self._many(target, "delete_one", self._key_names, keys)

    def insert_few(self, target: Target, rows: list[Row]) -> None:
        """Insert row by row, where the keys were deleted before."""
        self._many(target, "insert_one", self.names, rows)

    def upsert_many(self, target: Target, chunks: Iterable[list[Row]]) -> None:
        """Upsert through a staging table."""
        self._stage(target, self.names, chunks)
        target.execute(_FILE, "upsert_staged", self.names)

    def delete_many(self, target: Target, chunks: Iterable[list[Row]]) -> None:
        """Delete through a staging table of keys."""
        self._stage(target, self._key_names, chunks)
        target.execute(_FILE, "delete_staged", self._key_names)

    def replace_many(self, target: Target, chunks: Iterable[list[Row]]) -> None:
        """Delete and insert: where two rows swap a unique value, every form of upsert fails."""
        self._stage(target, self.names, chunks)
        target.execute(_FILE, "delete_staged", self.names)
        target.execute(_FILE, "insert_staged", self.names)

    def key_of(self, row: Row) -> Row:
        """Return the key of a row in key order."""
        return tuple(row[place] for place in self._key_places)

    def _stage(self, target: Target, names: dict[str, sql.Composable], chunks: Iterable[list[Row]]) -> None:
        target.execute(_FILE, "stage", names)
        _copy(target, postgres_statement(_FILE, "copy").format(table=names["stage"], columns=names["columns"]), chunks)

    @staticmethod
    def _many(target: Target, statement: str, names: dict[str, sql.Composable], rows: list[Row]) -> None:
        with target.connection.cursor() as cursor:
            cursor.executemany(postgres_statement(_FILE, statement).format(**names), map(_as_text, rows))


def _copy(target: Target, statement: sql.Composed, chunks: Iterable[list[Row]]) -> int:
    count = 0
    with target.connection.cursor() as cursor, cursor.copy(statement) as copy:
        write = copy.write_row
        for rows in chunks:
            for row in rows:
                write(row)
            count += len(rows)
    return count


def _as_text(row: Row) -> list[str | bytes | None]:
    return [_text(value) for value in row]


def _text(value: Sent) -> str | bytes | None:
    """A string has no type of its own: PostgreSQL reads it as the column's type, as COPY does."""
    return value if value is None or isinstance(value, str | bytes) else repr(value)


def _pairs(left: str, right: str, names: list[str], joined: sql.SQL) -> sql.Composed:
    return joined.join(
        sql.SQL("{} = {}").format(sql.Identifier(left, name), sql.Identifier(right, name)) for name in names
    )


def _action(columns: list[str]) -> sql.Composable:
    if not columns:
        return postgres_statement(_FILE, "keep")
    return postgres_statement(_FILE, "update_changed").format(
        assignments=sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Identifier("excluded", name)) for name in columns
        ),
        old=sql.SQL(", ").join(sql.Identifier("t", name) for name in columns),
        new=sql.SQL(", ").join(sql.Identifier("excluded", name) for name in columns),
    )


def rows_of(chunks: Iterable[list[Row]]) -> Iterator[Row]:
    """Yield single rows."""
    for rows in chunks:
        yield from rows


