"""Look at the data for better types: a TEXT column whose every value is a UUID or a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cdcsync.core.codecs import Codec, Sent, codec_for
from cdcsync.core.mapping_file import Proposal
from cdcsync.edges.pages import all_rows
from cdcsync.edges.rows import RowReader
from cdcsync.edges.source import Source
from cdcsync.words.errors import BadValueError
from cdcsync.words.nouns import ColumnPlan, TablePlan
from cdcsync.words.settings import ColumnMapping, Settings

CANDIDATES = {"uuid": ("uuid", "UUIDs"), "timestamptz": ("timestamp with time zone", "ISO-8601 times")}
PAGE_ROWS = 1000

Tick = Callable[[str, int], None]


@dataclass(slots=True)
class _Candidate:
    """A type that has fitted every value of a column so far."""

    place: int
    column: str
    name: str
    codec: Codec
    values: int = 0
    fits: bool = True

    def look(self, values: Sequence[Sent]) -> None:
        texts = [value for value in values if value is not None]
        self.values += len(texts)
        try:
            self.codec.many(texts)
        except ValueError:
            self.fits = all(self._takes(text) for text in texts)

    def _takes(self, value: Sent) -> bool:
        try:
            self.codec.one("text", value)
        except ValueError:
            return False
        return True


def proposals(
    source: Source, plans: Sequence[TablePlan], settings: Settings, tick: Tick
) -> dict[tuple[str, str], Proposal]:
    """Return proposals for text columns the mapping says nothing about, alike at both ends of a foreign key."""
    found: dict[tuple[str, str], Proposal] = {}
    for plan in plans:
        candidates = _candidates(plan, settings)
        for rows in filter(None, all_rows(source, RowReader(plan), PAGE_ROWS, _ignore)):
            tick(plan.name, len(rows))
            candidates = [candidate for candidate in candidates if candidate.fits]
            if not candidates:
                break
            columns = list(zip(*rows, strict=True))
            for candidate in candidates:
                candidate.look(columns[candidate.place])
        for candidate in candidates:
            if candidate.fits and candidate.values:
                evidence = f"{candidate.values:,} of {candidate.values:,} values are {CANDIDATES[candidate.name][1]}"
                found[plan.name, candidate.column] = Proposal(candidate.name, evidence)
    return _consistent(plans, found)


def _candidates(plan: TablePlan, settings: Settings) -> list[_Candidate]:
    mapped = settings.table(plan.name).columns
    keys = {part.name for part in plan.key}
    return [
        _Candidate(place, column.source, name, codec_for(_usual(column, type_sql), key=key))
        for place, column in enumerate(plan.columns)
        if column.type_sql == "text" and mapped.get(column.source, ColumnMapping()).type is None
        for name, (type_sql, _) in CANDIDATES.items()
        for key in (column.source in keys,)
        # Two spellings of one time would be one key.
        if not key or name == "uuid"
    ]


def _usual(column: ColumnPlan, type_sql: str) -> ColumnPlan:
    """Plan a column with a type in its usual form: 32 hexadecimal digits are more often a checksum than a UUID."""
    return replace(column, type_sql=type_sql, format="iso", not_null=False)


def _ignore(_error: BadValueError) -> None:
    """Leave it out: a row that cannot arrive as text is no evidence, and `check` tells about it."""


def _consistent(plans: Sequence[TablePlan], found: dict[tuple[str, str], Proposal]) -> dict[tuple[str, str], Proposal]:
    """Drop a proposal where the other end of a foreign key has none: PostgreSQL wants one type at both."""
    types = {(plan.name, column.source): column.type_sql for plan in plans for column in plan.columns}
    links = [
        ((plan.name, child), (key.parent, parent))
        for plan in plans
        for key in plan.table.foreign_keys
        for child, parent in zip(key.columns, key.parent_columns, strict=False)
        if (key.parent, parent) in types
    ]

    def future(end: tuple[str, str]) -> str:
        return CANDIDATES[found[end].type][0] if end in found else types[end]

    while torn := [end for ends in links if future(ends[0]) != future(ends[1]) for end in ends if end in found]:
        for end in torn:
            found.pop(end, None)
    return found
