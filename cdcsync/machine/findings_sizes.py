"""Rows and index keys that are too large for PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cdcsync.core.ddl.indexes import hashed_index
from cdcsync.core.refusals import Refused
from cdcsync.core.toml_text import columns_section, table_rule
from cdcsync.core.widths import INDEX_BYTES, ROW_BYTES, fixed_bytes, key_bytes, may_exceed_row, row_bytes
from cdcsync.machine.scan import Page
from cdcsync.words.nouns import ColumnPlan, Finding, Index, TablePlan


class RowSizes:
    """Rows whose columns do not fit a page of PostgreSQL's even with large values moved out."""

    def __init__(self, plan: TablePlan) -> None:
        """Only a table with hundreds of columns can have such rows."""
        self._plan, self._fixed = plan, fixed_bytes(plan.columns)
        self._possible = may_exceed_row(plan.columns)
        self._large = Refused()

    def look(self, page: Page) -> None:
        """Take in a page."""
        if not self._possible:
            return
        for number, row in enumerate(page.rows):
            size = row_bytes(self._fixed, row)
            if size > ROW_BYTES:
                self._large.note(page.key(number), ("integer", size))

    def findings(self) -> Iterator[Finding]:
        """Yield what was found."""
        if self._large.count:
            message = (
                f"{self._large.count:,} rows of {self._plan.name} are too large for PostgreSQL: their "
                f"{len(self._plan.columns)} columns need about {self._large.example} bytes where {ROW_BYTES:,} fit"
            )
            fix = f"skip = true for some columns under {columns_section(self._plan.name)}, or keep them as one jsonb"
            yield Finding(
                "warning",
                "row_too_large",
                message,
                fix,
                self._plan.name,
                None,
                self._large.count,
                tuple(self._large.keys),
            )


class KeySizes:
    """Entries too large for an index, of each index made of plain columns, the primary key among them."""

    def __init__(self, plan: TablePlan, schema: str) -> None:
        """Nothing seen. The tables will be in this `schema`."""
        places = {column.source: place for place, column in enumerate(plan.columns)}
        key = tuple(part.name for part in plan.key)
        indexes: list[tuple[tuple[str, ...], Index | None]] = [(key, None)]
        for index in plan.table.indexes:
            names = tuple(column.name for column in index.columns if column.name is not None)
            if len(names) == len(index.columns) and names != key:
                indexes.append((names, index))
        self._indexes = [
            _Entries(
                index, [plan.columns[places[name]] for name in names], [places[name] for name in names], plan, schema
            )
            for names, index in indexes
            if names and set(names) <= set(places)
        ]

    def look(self, page: Page) -> None:
        """Take in a page."""
        for index in self._indexes:
            index.look(page)

    def findings(self) -> Iterator[Finding]:
        """Yield what was found."""
        for index in self._indexes:
            yield from index.findings()


class _Entries:
    """What one index would hold; `index` is None for the primary key."""

    def __init__(
        self, index: Index | None, columns: Sequence[ColumnPlan], places: Sequence[int], plan: TablePlan, schema: str
    ) -> None:
        self._index, self._columns, self._places, self._plan, self._schema = index, columns, places, plan, schema
        self._fixed = fixed_bytes(columns)
        self._large = Refused()

    def look(self, page: Page) -> None:
        # A character has four bytes at most.
        if sum(4 * page.longest(place) + 16 for place in self._places) < INDEX_BYTES:
            return
        for number, row in enumerate(page.rows):
            size = key_bytes(self._fixed, [row[place] for place in self._places])
            if size > INDEX_BYTES:
                self._large.note(page.key(number), ("integer", size))

    def findings(self) -> Iterator[Finding]:
        if not self._large.count:
            return
        count, names = self._large.count, [column.source for column in self._columns]
        rows = f"1 row of {self._plan.name} has" if count == 1 else f"{count:,} rows of {self._plan.name} have"
        name = "the primary key" if self._index is None else f"index {self._index.name}"
        message = (
            f"{rows} more in {name} ({', '.join(names)}) than the {INDEX_BYTES:,} bytes PostgreSQL can index, such as "
            f"{self._large.example}: {'it' if count == 1 else 'they'} will be refused, or the index, unless "
            "PostgreSQL can compress them"
        )
        column = names[0] if len(names) == 1 else None
        keys = tuple(self._large.keys)
        yield Finding("warning", "key_too_large", message, self._fix(), self._plan.name, column, count, keys)

    def _fix(self) -> str:
        if self._index is None:
            return f"give the table a shorter key: {table_rule(self._plan.name, key=['other', 'columns'])}"
        if self._index.partial:
            return "shorten the values, or make an index on md5(...) instead, in PostgreSQL"
        instead = hashed_index(self._schema, self._plan, self._columns, unique=self._index.unique)
        return f"shorten the values, or make this index instead, in PostgreSQL: {instead}"
