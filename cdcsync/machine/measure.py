"""What the triggers will cost: the same writes with and without them, in turn, on copies of the user's own tables."""

from __future__ import annotations

import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cdcsync.edges.sample import Operation, OperationName, operations
from cdcsync.edges.scratch import MOST_BYTES, Scratch, copies, place_for, size_of
from cdcsync.edges.source import Source
from cdcsync.machine.context import Context, proposed_plans
from cdcsync.words.nouns import TablePlan

MANY = 100
SETTINGS = (("FULL", 1), ("NORMAL", 1), ("NORMAL", MANY))
"""How an application may commit: what waits for the disk, and how many rows a transaction has."""

LEAST_TURNS, MOST_TURNS = 3, 41
TURN_SECONDS = 0.005
"""Aimed at in one turn of one side: many writes where they are fast, a few where each waits for a slow disk."""

LEAST_SECONDS, MOST_SECONDS = 1.0, 4.0
"""Shares of the time for one table."""

OVERTIME = 2.0

ROOM = 4 * MOST_BYTES
"""Two copies, their journals and a changelog."""

NO_ROW = "no row could be written again: NULL in its key, text that is not UTF-8, or neither key nor rowid"

Tick = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one kind of write costs more; `extra_bytes_per_write` is what the changelog adds to the file."""

    table: str
    operation: OperationName
    synchronous: str
    rows_per_transaction: int
    ratio: float
    ratio_least: float
    ratio_greatest: float
    microseconds_without: float
    microseconds_with: float
    extra_bytes_per_write: float


@dataclass(slots=True)
class Measurement:
    """The costs found, and for each table without one the reason."""

    seconds: float = 0.0
    same_file_system: bool = True
    measured: list[Cost] = field(default_factory=list)
    not_measured: dict[str, str] = field(default_factory=dict)


def measure(context: Context, seconds: float, tick: Tick) -> Measurement:
    """Measure table by table, the largest first, until the time is up. The source is only read."""
    began = time.monotonic()
    found = Measurement()
    with context.open_source() as source:
        _, plans = proposed_plans(source, context.settings)
        left = _largest_first(source, plans, found)
        beside, found.same_file_system = place_for(source.path, context.settings.state_dir)
        roomy = shutil.disk_usage(beside).free >= ROOM
        while left:
            plan, remaining = left.pop(0), began + seconds - time.monotonic()
            if not roomy:
                found.not_measured[plan.name] = f"{beside} has less than {ROOM >> 20} MiB free for the copies"
            elif remaining < LEAST_SECONDS / 2:
                found.not_measured[plan.name] = "the time was up: --measure-seconds gives more"
            else:
                share = min(MOST_SECONDS, max(LEAST_SECONDS, remaining / (len(left) + 1)))
                _measure_table(source, plan, beside, share, found, tick)
    found.seconds = time.monotonic() - began
    return found


def _largest_first(source: Source, plans: Sequence[TablePlan], found: Measurement) -> list[TablePlan]:
    sizes = {plan.name: size_of(source, plan.table) for plan in plans}
    empty = [plan for plan in plans if not sizes[plan.name][0]]
    found.not_measured |= {plan.name: "empty: nothing to measure" for plan in empty}
    return sorted((plan for plan in plans if plan not in empty), key=lambda plan: sizes[plan.name], reverse=True)


def _measure_table(source: Source, plan: TablePlan, beside: Path, share: float, found: Measurement, tick: Tick) -> None:
    until = time.monotonic() + share
    try:
        # Half of the time at most goes into the copy.
        with copies(source, plan, beside, until - share / 2) as pair:
            writes = operations(pair[0].connection, plan)
            if writes:
                found.measured += _costs(plan.name, pair, writes, until, tick)
            else:
                found.not_measured[plan.name] = NO_ROW
    except (sqlite3.Error, OSError, OverflowError) as error:
        found.not_measured[plan.name] = _reason(error)


def _reason(error: Exception) -> str:
    text = str(error)
    if "no such function" in text or "unknown function" in text or "no such collation" in text:
        return f"it needs what only the application registers ({text})"
    return f"the copy could not be made or written ({text})"


_Pair = tuple[Scratch, Scratch]
"""The plain copy and the captured one."""


class _Trial:
    """One setting: turns of both sides at every operation, and how long each took."""

    def __init__(self, pair: _Pair, writes: Sequence[Operation], synchronous: str, rows: int) -> None:
        """Warm both sides up, and see how many rows make a turn."""
        self.synchronous, self.rows = synchronous, rows
        self._pair, self._writes = pair, writes
        self.timed: dict[OperationName, list[tuple[float, float]]] = {}
        self.batch, most = rows, self._most()
        self.turn()
        while self.batch < most and self._slowest() < TURN_SECONDS / 2:
            self.batch = min(self.batch * 4, most)
            self.turn()
        self.timed.clear()

    def turn(self) -> None:
        """Let the sides delete, insert and update the same rows, each time the other one first."""
        for side in self._pair:
            side.synchronous(self.synchronous)
        for write in self._writes:
            turns = self.timed.setdefault(write.name, [])
            values = write.values[: self.batch]
            plain, captured = self._pair
            seconds = {
                side: side.write(write.statement, values, self.rows)
                for side in ((plain, captured) if len(turns) % 2 else (captured, plain))
            }
            turns.append((seconds[plain], seconds[captured]))

    def _slowest(self) -> float:
        return max(turns[-1][0] for turns in self.timed.values())

    def _most(self) -> int:
        sample = len(self._writes[0].values)
        return sample - sample % self.rows


def _costs(table: str, pair: _Pair, writes: Sequence[Operation], until: float, tick: Tick) -> list[Cost]:
    sample = len(writes[0].values)
    trials = [_Trial(pair, writes, *setting) for setting in SETTINGS if setting[1] <= sample]
    turns = 0
    # Few turns are better than a long wait, where a single row takes its time.
    while turns < MOST_TURNS and time.monotonic() < until + (OVERTIME if turns < LEAST_TURNS else 0):
        for trial in trials:
            trial.turn()
        turns += 1
        tick(table, 1)
    growth = pair[1].log_bytes_per_write()
    return [
        _cost(table, trial, operation, timed, growth) for trial in trials for operation, timed in trial.timed.items()
    ]


def _cost(table: str, trial: _Trial, name: OperationName, timed: Sequence[tuple[float, float]], growth: float) -> Cost:
    ratios = [captured / plain for plain, captured in timed]
    plain, captured = (statistics.median(side) / trial.batch * 1e6 for side in zip(*timed, strict=True))
    return Cost(
        table=table,
        operation=name,
        synchronous=trial.synchronous,
        rows_per_transaction=trial.rows,
        ratio=round(statistics.median(ratios), 3),
        ratio_least=round(min(ratios), 3),
        ratio_greatest=round(max(ratios), 3),
        microseconds_without=round(plain, 2),
        microseconds_with=round(captured, 2),
        extra_bytes_per_write=round(growth, 1),
    )
