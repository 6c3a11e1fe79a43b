"""The target's half of a comparison: stage rows of the source, and ask PostgreSQL where its own differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from psycopg import sql

from cdcsync.core.codecs import Codec, codec_for
from cdcsync.edges.spool import Row
from cdcsync.edges.statements import postgres_statement
from cdcsync.edges.target import Target, column_list, table_name
from cdcsync.edges.writer import conflict_action, copy_rows
from cdcsync.words.nouns import ColumnPlan, TablePlan

_FILE = "verify.sql"

_ALL = sql.SQL("true")

_PLACE = codec_for(ColumnPlan("_cdcsync_place", "_cdcsync_place", "integer", not_null=True), key=False)


@dataclass(frozen=True, slots=True)
class RowDifference:
    """A staged row that the target lacks, or has otherwise. `columns`: target name, source text, target text."""

    place: int
    missing: bool
    columns: tuple[tuple[str, str | None, str | None], ...]


class Comparer:
    """Compares rows of one table inside `snapshot`, and mends them inside a transaction."""

    def __init__(self, target: Target, plan: TablePlan, schema: str, only: sql.Composable = _ALL) -> None:
        """Compose the statements. `only`: the condition on row `t` under which a row can be too many."""
        self._target, self.plan = target, plan
        columns = [column.target for column in plan.columns]
        key = [column.target for column in plan.key_plans]
        self._names: dict[str, sql.Composable] = {
            "table": table_name(schema, plan.target),
            "stage": sql.SQL("pg_temp.{}").format(sql.Identifier(f"_cdcsync_verify_{plan.number}")),
            "keys": seen_keys(plan),
            "columns": column_list(columns),
            "key": column_list(key),
            "flags": _each(columns, "ROW({0})::record *<> ROW({1})::record"),
            "source_row": _each(columns, "{0}"),
            "staged": _each(columns, "{0}"),
            "action": conflict_action([name for name in columns if name not in key]),
            "target_row": _each(columns, "{1}"),
            "source_texts": _each(columns, "{0}::text"),
            "target_texts": _each(columns, "{1}::text"),
            "key_texts": _each(key, "{1}::text"),
            "only": only,
            "same_key": _each(key, "{1} = {0}", " AND "),
        }
        key_names = {column.name for column in plan.key}
        self._codecs = [codec_for(c, key=c.source in key_names) for c in plan.columns]
        by_source = dict(zip([c.source for c in plan.columns], self._codecs, strict=True))
        self._key_codecs = [by_source[column.name] for column in plan.key]
        self._key_names = {
            **self._names,
            "columns": self._names["key"],
            "stage": sql.SQL("pg_temp.{}").format(sql.Identifier(f"_cdcsync_verify_keys_{plan.number}")),
        }

    @contextmanager
    def snapshot(self, source_id: str) -> Iterator[int]:
        """See position and rows at one moment; yields the position."""
        self._target.control("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            yield int(self._target.ask(_FILE, "position", source_id=source_id)[0])
        except BaseException:
            self._target.rollback()
            raise
        self._target.control("COMMIT")

    def begin(self) -> None:
        """Forget the keys seen before."""
        self._target.execute(_FILE, "forget_keys", self._names)
        self._target.execute(_FILE, "keys", self._names)

    def stage(self, rows: list[Row]) -> None:
        """Only stage rows: PostgreSQL may refuse some even there."""
        self._fill(self._names, self._codecs, [rows])

    def compare(self, rows: list[Row], *, see: bool) -> list[RowDifference]:
        """Return where the target differs from rows of the source; `see` remembers their keys for `extra`."""
        if not rows:
            return []
        self.stage(rows)
        if see:
            self._target.execute(_FILE, "see", self._names)
        return [self._difference(*row) for row in self._target.rows(_FILE, "different", self._names)]

    def unwanted(self, keys: list[Row]) -> list[int]:
        """Return the places of keys that the target has although the source has no such row."""
        if not keys:
            return []
        self._fill(self._key_names, self._key_codecs, [keys])
        return [row[0] for row in self._target.rows(_FILE, "unwanted", self._key_names)]

    def see(self, chunks: Iterable[list[Row]]) -> None:
        """Remember keys that are compared elsewhere."""
        names = {"table": self._names["keys"], "columns": self._names["key"]}
        copy_rows(self._target, names, self._key_codecs, chunks)

    def extra(self) -> Iterator[str]:
        """Yield the keys of target rows that were seen nowhere in the source, as text."""
        with self._target.connection.cursor(name="_cdcsync_extra") as cursor:
            cursor.execute(postgres_statement(_FILE, "extra").format(**self._names))
            for (parts,) in cursor:
                yield ", ".join(parts)

    def mend(self, rows: list[Row]) -> int:
        """Make the target's rows equal to rows of the source, inside a transaction; return how many were not.

        Raises psycopg.errors.UniqueViolation where a row that is still to be mended holds a unique value.
        """
        self.stage(rows)
        self._target.execute(_FILE, "see", self._names)
        return self._target.execute(_FILE, "mend", self._names).rowcount

    def remove_extra(self) -> int:
        """Delete target rows whose key was seen nowhere, inside a transaction; return how many there were."""
        # Nothing else tells the planner how many keys there are: it would look each row up in a list.
        self._target.execute(_FILE, "analyze_keys", self._names)
        return self._target.execute(_FILE, "remove_extra", self._names).rowcount

    def multiset(self, chunks: Iterable[list[Row]]) -> Iterator[tuple[str, int, int]]:
        """Compare whole tables as multisets: yield a row as text with its count on both sides, where they differ."""
        self._fill(self._names, self._codecs, chunks)
        with self._target.connection.cursor(name="_cdcsync_multiset") as cursor:
            cursor.execute(postgres_statement(_FILE, "multiset").format(**self._names))
            yield from cursor

    def _fill(self, names: dict[str, sql.Composable], codecs: Sequence[Codec], chunks: Iterable[list[Row]]) -> None:
        """Stage rows, each with its place in front."""
        self._target.execute(_FILE, "stage", names)
        columns = sql.SQL("_cdcsync_place, {}").format(names["columns"])
        places = count()
        numbered: Iterator[list[Row]] = ([(next(places), *row) for row in rows] for rows in chunks)
        copy_rows(self._target, {"table": names["stage"], "columns": columns}, [_PLACE, *codecs], numbered)

    def _difference(
        self,
        place: int,
        missing: bool,  # noqa: FBT001  a column of a fetched row
        flags: list[bool],
        source: list[str | None],
        target: list[str | None],
    ) -> RowDifference:
        columns = tuple(
            (column.source, there, here)
            for column, flag, there, here in zip(self.plan.columns, flags, source, target, strict=True)
            if flag and not missing
        )
        return RowDifference(place, missing, columns)


def seen_keys(plan: TablePlan) -> sql.Composed:
    """Return the name of the temporary table of the keys that were seen in the source."""
    return sql.SQL("pg_temp.{}").format(sql.Identifier(f"_cdcsync_seen_{plan.number}"))


def _each(columns: list[str], template: str, joined: str = ", ") -> sql.Composed:
    """Fill a template for each column: {0} is it in the staged row, {1} in the target's."""
    return sql.SQL(joined).join(
        sql.SQL(template).format(sql.Identifier("s", name), sql.Identifier("t", name)) for name in columns
    )
