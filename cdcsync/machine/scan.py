"""The one scan of the source's data, for `check` and `plan`: a table is read once, in short reads, column by column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from cdcsync.core.codecs import codec_for
from cdcsync.core.facts import Facts, is_clean, longest_of, part_of, time_spellings
from cdcsync.core.keys import show
from cdcsync.core.refusals import Refused, code_of
from cdcsync.core.types import parse
from cdcsync.edges.raw_rows import raw_rows
from cdcsync.edges.source import Source
from cdcsync.edges.spool import Row
from cdcsync.words.nouns import ColumnPlan, TablePlan, Value

PAGE_ROWS = 1000

Tick = Callable[[str, int], None]


class Page:
    """Some rows of a table, as columns; what several looks need is worked out once."""

    def __init__(self, plan: TablePlan, rows: Sequence[Row]) -> None:
        """`rows` are as SQLite holds them, in the order of the plan's columns."""
        self.rows = rows
        self.columns: list[tuple[Value, ...]] = list(zip(*rows, strict=True))
        self._plan = plan
        self._longest: dict[int, int] = {}

    def longest(self, place: int) -> int:
        """Return the length of the longest text or blob of a column."""
        if place not in self._longest:
            self._longest[place] = longest_of(self.columns[place])
        return self._longest[place]

    def key(self, number: int) -> str:
        """Return the key of a row as people read it; empty where the table has none."""
        places = {column.source: place for place, column in enumerate(self._plan.columns)}
        return show(tuple(part_of(self.rows[number][places[part.name]]) for part in self._plan.key))


class Look(Protocol):
    """Something that is gathered from the pages of a table."""

    def look(self, page: Page) -> None:
        """Take in a page."""


def scan(source: Source, plan: TablePlan, looks: Sequence[Look], tick: Tick) -> int:
    """Show every page of a table to all looks; return how many rows it has."""
    count = 0
    for rows in filter(None, raw_rows(source, plan, PAGE_ROWS)):
        page = Page(plan, rows)
        for look in looks:
            look.look(page)
        count += len(rows)
        tick(plan.name, len(rows))
    return count


class ColumnValues:
    """What one column holds, and which of its values its codec refuses."""

    def __init__(self, plan: TablePlan, place: int) -> None:
        """Begin with nothing seen."""
        self.column: ColumnPlan = plan.columns[place]
        self.is_key = any(part.name == self.column.source for part in plan.key)
        self.facts = Facts()
        self.refused: dict[str, Refused] = {}
        self.spellings: Counter[str] = Counter()
        self._place = place
        self._codec = codec_for(self.column, key=self.is_key)
        is_moment = parse(self.column.type_sql).base == "timestamp with time zone"
        self._counts_spellings = is_moment and self.column.format == "iso"

    def look(self, page: Page) -> None:
        """Take in a page: converted as a whole, and value by value only where that fails."""
        values = page.columns[self._place]
        kinds = self.facts.look(values, page.longest(self._place))
        try:
            usable = str not in kinds or is_clean(values)
            if usable:
                self._codec.many(values)
        except (ValueError, ArithmeticError):
            usable = False
        accepted: Sequence[Value] = values if usable else self._accepted(page, values)
        if self._counts_spellings and str in kinds:
            self.spellings.update(time_spellings(accepted))

    def _accepted(self, page: Page, values: Sequence[Value]) -> list[Value]:
        accepted = []
        for number, value in enumerate(values):
            part = part_of(value)
            try:
                self._codec.one(*part)
            except (ValueError, ArithmeticError):
                code = code_of(self.column, part, key=self.is_key)
                self.refused.setdefault(code, Refused()).note(page.key(number), part)
            else:
                accepted.append(value)
        return accepted


class Values:
    """What the columns of one table hold."""

    def __init__(self, plan: TablePlan) -> None:
        """Begin with nothing seen."""
        self.columns = [ColumnValues(plan, place) for place in range(len(plan.columns))]

    def look(self, page: Page) -> None:
        """Take in a page."""
        for column in self.columns:
            column.look(page)
