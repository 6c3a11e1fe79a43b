"""Write rows to one target table: COPY, idempotent upsert, delete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from psycopg import sql

from cdcsync.core.codecs import Codec, codec_for
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
        self.names, self._key_names = _names(plan, schema, str)
        # In a statement with parameters psycopg takes a % for one of its own marks, in a quoted name too.
        self._few_names, self._few_key_names = _names(plan, schema, lambda name: name.replace("%", "%%"))
        places = {column.source: place for place, column in enumerate(plan.columns)}
        key_names = {column.name for column in plan.key}
        self.codecs = [codec_for(c, key=c.source in key_names) for c in plan.columns]
        self._key_codecs = [self.codecs[places[column.name]] for column in plan.key]

    def copy(self, target: Target, chunks: Iterable[list[Row]]) -> int:
        """COPY rows straight into the table and return how many there were."""
        return copy_rows(target, self.names, self.codecs, chunks)

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
        self._many(target, "upsert_one", self._few_names, self.codecs, rows)

    def delete_few(self, target: Target, keys: list[Row]) -> None:
        """Delete key by key."""
        self._many(target, "delete_one", self._few_key_names, self._key_codecs, keys)

    def upsert_many(self, target: Target, chunks: Iterable[list[Row]]) -> None:
        """Upsert through a staging table."""
        self._stage(target, self.names, self.codecs, chunks)
        target.execute(_FILE, "upsert_staged", self.names)

    def delete_many(self, target: Target, chunks: Iterable[list[Row]]) -> None:
        """Delete through a staging table of keys."""
        self._stage(target, self._key_names, self._key_codecs, chunks)
        target.execute(_FILE, "delete_staged", self._key_names)

    def replace_many(self, target: Target, chunks: Iterable[list[Row]]) -> None:
        """Delete and insert: where two rows swap a unique value, every form of upsert fails."""
        self._stage(target, self.names, self.codecs, chunks)
        target.execute(_FILE, "delete_staged", self.names)
        target.execute(_FILE, "insert_staged", self.names)

    def _stage(
        self,
        target: Target,
        names: dict[str, sql.Composable],
        codecs: Sequence[Codec],
        chunks: Iterable[list[Row]],
    ) -> None:
        target.execute(_FILE, "stage", names)
        copy_rows(target, {**names, "table": names["stage"]}, codecs, chunks)

    @staticmethod
    def _many(
        target: Target,
        statement: str,
        names: dict[str, sql.Composable],
        codecs: Sequence[Codec],
        rows: list[Row],
    ) -> None:
        with target.connection.cursor() as cursor:
            # A string parameter has no type of its own: PostgreSQL reads it as the column's.
            texts = (as_text(codecs, row) for row in rows)
            cursor.executemany(postgres_statement(_FILE, statement).format(**names), texts)


def _names(
    plan: TablePlan, schema: str, spelled: Callable[[str], str]
) -> tuple[dict[str, sql.Composable], dict[str, sql.Composable]]:
    """Return what fills the statements for rows, and for keys alone."""
    columns = [spelled(column.target) for column in plan.columns]
    key = [spelled(column.target) for column in plan.key_plans]
    marks = [sql.Placeholder()]
    rows: dict[str, sql.Composable] = {
        "table": table_name(spelled(schema), spelled(plan.target)),
        "columns": column_list(columns),
        "key": column_list(key),
        "values": sql.SQL(", ").join(marks * len(columns)),
        "stage": sql.Identifier("pg_temp", f"_cdcsync_stage_{plan.number}"),
        "same_key": _pairs("s", "t", key, sql.SQL(" AND ")),
        "action": conflict_action([name for name in columns if name not in key]),
    }
    keys = {
        **rows,
        "columns": rows["key"],
        "values": sql.SQL(", ").join(marks * len(key)),
        "stage": sql.Identifier("pg_temp", f"_cdcsync_keys_{plan.number}"),
    }
    return rows, keys


def copy_rows(
    target: Target, names: dict[str, sql.Composable], codecs: Sequence[Codec], chunks: Iterable[list[Row]]
) -> int:
    """COPY rows into `table` and return how many there were; in binary form if all columns have one.

    Binary saves both sides their work: PostgreSQL takes half the time of text, and nothing needs escaping.
    """
    wires = [codec.wire for codec in codecs]
    binary = None not in wires
    statement = postgres_statement(_FILE, "copy_binary" if binary else "copy").format(**names)
    count = 0
    with target.connection.cursor() as cursor, cursor.copy(statement) as copy:
        if binary:
            copy.set_types([str(wire) for wire in wires])
        # What copy.write_row does, one call a row shorter.
        form, send = copy.formatter.write_row, copy.writer.write
        for rows in chunks:
            for row in rows if binary else (as_text(codecs, row) for row in rows):
                if data := form(row):
                    send(data)
            count += len(rows)
    return count


def as_text(codecs: Sequence[Codec], row: Row) -> list[str | None]:
    """Return a row's values as PostgreSQL's input functions read them."""
    return [None if value is None else codec.text(value) for codec, value in zip(codecs, row, strict=True)]


def _pairs(left: str, right: str, names: list[str], joined: sql.SQL) -> sql.Composed:
    return joined.join(
        sql.SQL("{} = {}").format(sql.Identifier(left, name), sql.Identifier(right, name)) for name in names
    )


def conflict_action(columns: list[str]) -> sql.Composable:
    """Return what ON CONFLICT does: update the columns that are not in the key, if any of them differs."""
    if not columns:
        return postgres_statement(_FILE, "keep")
    return postgres_statement(_FILE, "update_changed").format(
        assignments=sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Identifier("excluded", name)) for name in columns
        ),
        old=sql.SQL(", ").join(sql.Identifier("t", name) for name in columns),
        new=sql.SQL(", ").join(sql.Identifier("excluded", name) for name in columns),
    )
