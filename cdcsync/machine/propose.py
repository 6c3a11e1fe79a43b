"""Look at the data for better types, and for those the declared types cannot hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cdcsync.core.candidates import (
    FINE_MOMENT,
    MOMENT,
    Candidate,
    Way,
    checked_as_json,
    is_named_like_flag,
    is_named_like_moment,
    ways,
)
from cdcsync.core.collations import is_readable
from cdcsync.core.facts import Facts, time_spellings
from cdcsync.core.mapping_file import Evidence, Proposal, short
from cdcsync.core.mending import mending
from cdcsync.core.proposals import Place, alike_at_both_ends
from cdcsync.core.refusals import MEANINGS, WIDENED
from cdcsync.core.types import integer_limit, parse
from cdcsync.edges.source import Source
from cdcsync.machine.scan import ColumnValues, Page, Tick, Values, scan
from cdcsync.words.nouns import ColumnPlan, StorageClass, TablePlan
from cdcsync.words.settings import ColumnMapping, Settings

FEW = 0.01
"""A share of refused values up to which a column keeps its type: text for all because of a few helps nobody."""

_UNREAD = "its key is in a collation only the application knows; skip = true leaves the table out"
_SECONDS = {"epoch_s": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000}
_JULIAN_1970 = 2440587.5
_DAY_SECONDS = 86_400
_USUAL: dict[str, set[StorageClass]] = {
    "bigint": {"integer"},
    "boolean": {"integer"},
    "double precision": {"real"},
    "numeric": {"integer", "real"},
    "bytea": {"blob"},
}


def evidence(source: Source, plans: Sequence[TablePlan], settings: Settings, tick: Tick) -> Evidence:
    """Read every table once, and again where only another type than the declared one can hold the values."""
    rows: dict[str, int] = {}
    found: dict[Place, Proposal] = {}
    remarks: dict[Place, str] = {}
    empty: set[Place] = set()
    unread = {plan.name: _UNREAD for plan in plans if not is_readable(plan.table)}
    weak: dict[Place, Proposal] = {}
    for plan in (plan for plan in plans if plan.name not in unread):
        free = _free_columns(plan, settings)
        values, candidates = Values(plan), Candidates(plan, _ways(plan, free))
        rows[plan.name] = scan(source, plan, [values, candidates], tick)
        sure, unsure = _by_candidates(candidates)
        weak |= {(plan.name, plan.columns[place].source): proposal for place, proposal in unsure.items()}
        for place, proposal in [*sure.items(), *_by_facts(plan, values, free)]:
            found.setdefault((plan.name, plan.columns[place].source), proposal)
        for place, proposal in _retyped(source, plan, values, free - set(sure), tick):
            found[plan.name, plan.columns[place].source] = proposal
        for place, column in enumerate(values.columns):
            remarks[plan.name, column.column.source] = _remark(column)
            if place in free and not column.facts.values:
                empty.add((plan.name, column.column.source))
    return Evidence(rows, alike_at_both_ends(plans, found, empty, weak), remarks, unread)


def _free_columns(plan: TablePlan, settings: Settings) -> set[int]:
    """Return the places of columns whose type nobody has named."""
    mapped = settings.table(plan.name).columns
    told = (mapped.get(column.source, ColumnMapping()).model_fields_set for column in plan.columns)
    return {place for place, names in enumerate(told) if not names & {"type", "format", "naive"}}


def _unique_columns(plan: TablePlan) -> set[str]:
    indexed = {column.name or "" for index in plan.table.indexes if index.unique for column in index.columns}
    return indexed | {part.name for part in plan.key}


def _linked_columns(plan: TablePlan) -> set[str]:
    return _unique_columns(plan) | {name for key in plan.table.foreign_keys for name in key.columns}


def _ways(plan: TablePlan, places: set[int]) -> dict[int, tuple[Way, ...]]:
    unique, linked, checked = _unique_columns(plan), _linked_columns(plan), checked_as_json(plan)
    found = {}
    for place in places:
        column = plan.columns[place]
        name, declared = column.source, plan.table.column(column.source).declared_type
        found[place] = ways(column, declared, unique=name in unique, linked=name in linked, checked=name in checked)
    return found


class Candidates:
    """The types tried for the columns of one table."""

    def __init__(self, plan: TablePlan, ways: Mapping[int, Sequence[Way]]) -> None:
        """`ways`: what to try for the column at a place, the best first."""
        unique = _unique_columns(plan)
        self._tried = {
            place: [
                Candidate(plan.columns[place], way, unique=plan.columns[place].source in unique) for way in column_ways
            ]
            for place, column_ways in ways.items()
        }
        self.spellings = {place: time_spellings(()) for place in ways}

    def look(self, page: Page) -> None:
        """Take in a page."""
        for place, tried in self._tried.items():
            if not any(candidate.fits for candidate in tried):
                continue
            values = [value for value in page.columns[place] if value is not None]
            for candidate in tried if values else ():
                candidate.look(values)
            if any(candidate.fits and candidate.way.is_written_time for candidate in tried):
                self.spellings[place].update(time_spellings(values))

    def fitting(self) -> Iterator[tuple[int, Candidate]]:
        """Yield each place with the best type that has fitted all values; its own `least` says whether they are enough.

        One value at least, unless the type needs none.
        """
        for place, tried in self._tried.items():
            fitting = (one for one in tried if one.fits and one.values >= min(one.way.least, 1))
            if (best := next(fitting, None)) is not None:
                yield place, best


def _by_candidates(candidates: Candidates) -> tuple[dict[int, Proposal], dict[int, Proposal]]:
    """Return what enough values speak for, and what too few do, by place."""
    sure: dict[int, Proposal] = {}
    unsure: dict[int, Proposal] = {}
    for place, best in candidates.fitting():
        way, said = best.way, f"{best.values:,} of {best.values:,} values are {best.way.noun}"
        if way.is_written_time:
            proposal = _of_moments(said, candidates.spellings[place], best.finer)
        else:
            proposal = Proposal(way.type, said, None if way.format == "iso" else way.format)
        (sure if best.values >= way.least else unsure)[place] = proposal
    return sure, unsure


def _of_moments(said: str, spellings: Mapping[str, int], finer: int = 0, type_sql: str = MOMENT.type) -> Proposal:
    """Times that name no offset are read as UTC, and `finer` of them are cut; keeping the line says that it may be."""
    names = {"none": "without offset, read as UTC", "date only": "a date alone, read as midnight UTC"}
    names["offset"] = "with another offset"
    counts = ", ".join(f"{count:,} {names.get(name, name)}" for name, count in spellings.items() if count)
    is_naive = spellings.get("none", 0) + spellings.get("date only", 0) > 0
    cut = f"; {finer:,} have decimals beyond the sixth, which are cut off" if finer else ""
    naive = "utc" if is_naive else None
    return Proposal(type_sql, f"{said}: {counts}{cut}", naive=naive, on_finer="truncate" if finer else None)


def _by_facts(plan: TablePlan, values: Values, free: set[int]) -> Iterator[tuple[int, Proposal]]:
    """Propose what ranges and spellings tell: flags, numbers that are times, and how naive times are read."""
    linked = _linked_columns(plan)
    for place in free:
        column = values.columns[place]
        facts, name = column.facts, column.column.source
        if sum(column.spellings[spelling] for spelling in ("none", "date only")):
            accepted = f"{column.spellings.total():,} of {facts.values:,} values are {MOMENT.noun}"
            yield place, _of_moments(accepted, column.spellings)
        if facts.found != {"integer"} or name in linked or integer_limit(column.column.type_sql) is None:
            continue
        told = f"{facts.values:,} of {facts.values:,} values are"
        least, greatest = facts.least or 0, facts.greatest or 0
        declared = plan.table.column(name).declared_type
        if is_named_like_flag(name, declared) and least >= 0 and greatest <= 1:
            yield place, Proposal("boolean", f"{told} 0 or 1")
        elif is_named_like_moment(name) and facts.epoch is not None:
            yield place, _of_numbers(told, facts, facts.epoch)


def _of_numbers(told: str, facts: Facts, form: str) -> Proposal:
    first, last = (_day(number or 0, form) for number in (facts.least, facts.greatest))
    return Proposal(MOMENT.type, f"{told} times as {form}, from {first} to {last}", format=form)


def _day(number: float, form: str) -> str:
    seconds = (number - _JULIAN_1970) * _DAY_SECONDS if form == "julian" else number / _SECONDS[form]
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).date().isoformat()


@dataclass(frozen=True, slots=True)
class _Retype:
    """Another type for a column whose own refuses values, and why."""

    way: Way
    reason: str


def _retyped(
    source: Source, plan: TablePlan, values: Values, free: set[int], tick: Tick
) -> Iterator[tuple[int, Proposal]]:
    """Propose the type that `check` would advise, once every value is seen to fit it."""
    wanted = {place: retype for place in free if (retype := _retype(values.columns[place])) is not None}
    if not wanted:
        return
    again = Candidates(plan, {place: (retype.way,) for place, retype in wanted.items()})
    scan(source, plan, [again], tick)
    for place, best in again.fitting():
        facts, way = values.columns[place].facts, best.way
        if way.format != "iso":
            yield place, _of_numbers(f"{facts.values:,} of {facts.values:,} values are", facts, way.format)
        elif way.is_written_time:
            yield place, _of_moments(wanted[place].reason, again.spellings[place], best.finer, way.type)
        else:
            yield place, Proposal(way.type, wanted[place].reason)


def _is_moment(column: ColumnPlan) -> bool:
    return column.type_sql == str(parse(MOMENT.type)) and column.format == "iso"


def _retype(column: ColumnValues) -> _Retype | None:
    refused = {code: one for code, one in column.refused.items() if code != "null_key"}
    if not refused:
        return None
    code, most = max(refused.items(), key=lambda pair: pair[1].count)
    count = sum(one.count for one in refused.values())
    if set(refused) == {"rounding"} and _is_moment(column.column):
        return _Retype(FINE_MOMENT, f"{column.facts.values:,} of {column.facts.values:,} values are {MOMENT.noun}")
    said = mending(column.column, code, column.facts, key=column.is_key)
    if said is None or "type" not in said:
        return None
    if code not in WIDENED and count <= column.facts.values * FEW:
        return None
    short_type = short(column.column.type_sql)
    reason = f"{count:,} of {column.facts.values:,} values cannot be {short_type}: {most.example}: {MEANINGS[code]}"
    return _Retype(Way(str(said["type"]), "", str(said.get("format", "iso"))), reason)


def _remark(column: ColumnValues) -> str:
    """Say what a person should know of a column that keeps its type."""
    facts, base = column.facts, parse(column.column.type_sql).base
    remarks = []
    if facts.found - _USUAL.get(base, {"text"}):
        remarks.append("holds " + ", ".join(f"{count:,} {name}" for name, count in facts.classes.most_common()))
    if refused := sum(one.count for one in column.refused.values()):
        remarks.append(
            f"{refused:,} of {facts.classes.total():,} values cannot arrive as {short(column.column.type_sql)}"
        )
    return "; ".join(remarks)
