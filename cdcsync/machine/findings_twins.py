"""Rows that are two by a unique index of SQLite's and would be one by PostgreSQL's, whose type equates their values."""

from __future__ import annotations

import marshal
from collections.abc import Iterator, Sequence

from cdcsync.core.codecs import Codec, Sent, codec_for
from cdcsync.core.facts import part_of
from cdcsync.core.mapping_file import column_rule, short
from cdcsync.core.mending import told_anew
from cdcsync.core.types import parse
from cdcsync.edges.seen import Seen
from cdcsync.edges.source import Source
from cdcsync.machine.scan import Page, Tick, scan
from cdcsync.words.nouns import Finding, Index, TablePlan
from cdcsync.words.settings import ColumnMapping, Settings

# Types to which values are equal that SQLite tells apart.
_EQUATING = {"uuid", "citext", "character", "numeric", "boolean", "timestamp with time zone"}
_EQUATING |= {"timestamp without time zone", "time without time zone"}


class Spellings:
    """Whether a unique index holds a value in another spelling than the one a key would have to have.

    Two rows can only become one where at least one of them has. The primary key needs no look: its codec refuses.
    """

    def __init__(self, plan: TablePlan) -> None:
        """Nothing seen."""
        self._watched = [_Spelling(plan, places) for places in _indexes_at_risk(plan)]

    def look(self, page: Page) -> None:
        """Take in a page."""
        for index in self._watched:
            index.look(page)

    def mixed(self) -> list[tuple[int, ...]]:
        """Return the columns, as places, of the indexes that hold such values."""
        return [index.places for index in self._watched if index.is_mixed]


class _Spelling:
    def __init__(self, plan: TablePlan, places: tuple[int, ...]) -> None:
        self.places, self.is_mixed = places, False
        self._codecs = {place: codec_for(plan.columns[place], key=True) for place in places if _equates(plan, place)}

    def look(self, page: Page) -> None:
        if not self.is_mixed:
            self.is_mixed = any(not _all_taken(codec, page.columns[place]) for place, codec in self._codecs.items())


def _all_taken(codec: Codec, values: Sequence[Sent]) -> bool:
    try:
        codec.many([value for value in values if value is not None])
    except (ValueError, ArithmeticError):
        return False
    return True


def _indexes_at_risk(plan: TablePlan) -> list[tuple[int, ...]]:
    places = {column.source: place for place, column in enumerate(plan.columns)}
    key = {part.name for part in plan.key}
    found = []
    for index in plan.table.indexes:
        names = [column.name for column in index.columns if column.name in places]
        if _covers_all_rows(index) and len(names) == len(index.columns) and set(names) != key:
            found.append(tuple(places[name] for name in names if name is not None))
    return [index for index in found if any(_equates(plan, place) for place in index)]


def _covers_all_rows(index: Index) -> bool:
    return index.unique and not index.partial


def _equates(plan: TablePlan, place: int) -> bool:
    return parse(plan.columns[place].type_sql).base in _EQUATING


def twin_findings(
    source: Source, plan: TablePlan, mixed: Sequence[tuple[int, ...]], settings: Settings, tick: Tick
) -> Iterator[Finding]:
    """Read the table again, keep what PostgreSQL would compare on disk, and yield what occurs twice."""
    for places in mixed:
        with Seen() as seen:
            scan(source, plan, [_Compared(plan, places, seen)], tick)
            count, keys = seen.repeated()
        if not count:
            continue
        columns = [plan.columns[place] for place in places]
        equating = next(plan.columns[place] for place in places if _equates(plan, place))
        told = settings.table(plan.name).columns.get(equating.source, ColumnMapping())
        message = (
            f"{count:,} rows of {plan.name} have another's {', '.join(column.source for column in columns)} once "
            f"{equating.source} is {short(equating.type_sql)}: the unique index could not be made"
        )
        fix = column_rule(plan.name, equating.source, "text", told_anew(told, {"type": "text"}))
        yield Finding("warning", "twins", message, fix, plan.name, equating.source, count, tuple(keys))


class _Compared:
    def __init__(self, plan: TablePlan, places: tuple[int, ...], seen: Seen) -> None:
        columns = [plan.columns[place] for place in places]
        self._columns = [(place, codec_for(column, key=False)) for place, column in zip(places, columns, strict=True)]
        self._bases = [parse(column.type_sql).base for column in columns]
        self._seen = seen

    def look(self, page: Page) -> None:
        self._seen.add([(value, page.key(n)) for n in range(len(page.rows)) if (value := self._value(page, n))])

    def _value(self, page: Page, number: int) -> bytes | None:
        """Return what PostgreSQL would compare; None for a NULL in it, and for a row that does not arrive."""
        compared = []
        for (place, codec), base in zip(self._columns, self._bases, strict=True):
            try:
                sent = codec.one(*part_of(page.columns[place][number]))
            except (ValueError, ArithmeticError):
                return None
            if sent is None:
                return None
            compared.append(_equated(base, codec, sent))
        return marshal.dumps(compared)


def _equated(base: str, codec: Codec, sent: Sent) -> Sent:
    if base == "numeric":
        written = codec.text(sent)
        return written.rstrip("0").rstrip(".") if "." in written else written
    return sent.lower() if base == "citext" and isinstance(sent, str) else sent
