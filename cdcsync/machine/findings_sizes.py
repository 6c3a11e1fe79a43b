"""Rows and index keys that are too large for PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cdcsync.core.refusals import Refused
from cdcsync.core.toml_text import columns_section, table_rule
from cdcsync.core.widths import INDEX_BYTES, ROW_BYTES, fixed_bytes, key_bytes, may_exceed_row, row_bytes
from cdcsync.machine.scan import Page
from cdcsync.words.nouns import Finding, TablePlan


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

    def __init__(self, plan: TablePlan) -> None:
        """Nothing seen."""
        places = {column.source: place for place, column in enumerate(plan.columns)}
        keys = {"the primary key": tuple(part.name for part in plan.key)}
        for index in plan.table.indexes:
            names = tuple(column.name for column in index.columns if column.name is not None)
            if len(names) == len(index.columns) and names != keys["the primary key"]:
                keys[f"index {index.name}"] = names
        self._plan = plan
        self._indexes = [
            _Entries(name, columns, tuple(places[column] for column in columns), plan)
            for name, columns in keys.items()
            if columns and set(columns) <= set(places)
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
    def __init__(self, name: str, columns: tuple[str, ...], places: Sequence[int], plan: TablePlan) -> None:
        self._name, self._columns, self._places, self._plan = name, columns, places, plan
        self._fixed = fixed_bytes([plan.columns[place] for place in places])
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
        column = self._columns[0] if len(self._columns) == 1 else None
        message = (
            f"{self._large.count:,} rows of {self._plan.name} have more in {self._name} ({', '.join(self._columns)}) "
            f"than the {INDEX_BYTES:,} bytes PostgreSQL can index, such as {self._large.example}: refused unless it "
            "can compress them"
        )
        if self._name == "the primary key":
            fix = f"give the table a shorter key: {table_rule(self._plan.name, key=['other', 'columns'])}"
        else:
            fix = f"drop {self._name} on the source, or index md5({self._columns[0]}) in PostgreSQL"
        keys = tuple(self._large.keys)
        yield Finding("warning", "key_too_large", message, fix, self._plan.name, column, self._large.count, keys)
