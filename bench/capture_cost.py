"""What the triggers cost: the time of the same writes with and without them, in WAL mode.

    python bench/capture_cost.py --directory .

Two copies of one database, one of them captured, take turns: plain, captured, plain, captured ... in one process, on
one file system. A figure is the median of the ratios of neighbouring runs; beside it stand the least and the greatest.
Statements are compiled and their values made before the clock starts, and rows are written in the order of their keys:
an application does more besides, which makes its ratio smaller. Name a directory on the disk the application uses: on
a RAM disk a sync costs nothing, and synchronous=FULL looks like NORMAL.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cdcsync.edges import capture
from cdcsync.edges.schema import read_schema

MANY = 100
UNIQUE_COLUMNS = 5
WIDE_COLUMNS = 1_000
GROWTH_ROWS = 20_000
SYNCS = 200
PAGE = 4096
# The greatest ratios this project accepts of a table with a primary key and one unique index.
BARS = {("FULL", 1): 1.15, ("NORMAL", 1): 1.5, ("NORMAL", MANY): 1.7}
WIDE_BAR = 1.15
# Rows in one run: enough for several checkpoints in each, or their number decides the ratio.
RUN_ROWS = {("FULL", 1): 1_500, ("NORMAL", 1): 4_000, ("NORMAL", MANY): 30_000}
WIDE_SHARE = 5
SLICES = 10
# Neither divides a number of rows used here, so their multiples reach every row, in no order.
STRIDE, SPREAD = 7_919, 0x9E3779B97F4A7C15

Statement = tuple[str, tuple[object, ...]]


@dataclass(frozen=True)
class Case:
    """One line of the table. `write` makes the statement of a number, given how many rows of history there are."""

    name: str
    schema: str
    write: Callable[[int, int], Statement]
    synchronous: str
    rows: int
    bar: float | None = None
    history: bool = True

    def __str__(self) -> str:
        """Return the beginning of its line."""
        return f"{self.name}; {self.synchronous}, {self.rows} row{'s' * (self.rows > 1)}"


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path(), help="where the databases lie for the while")
    parser.add_argument("--runs", type=int, default=9, help="runs of each side")
    parser.add_argument("--delete-rows", type=int, default=1_000_000, help="size of the table that is emptied")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cdcsync-bench-", dir=options.directory.absolute()) as made:
        folder = Path(made)
        print(surroundings(folder))
        print(f"\n{'write; synchronous, rows a transaction':55}{'ratio':>6}  {'from-to':<11}{'us a row':>17}  bar")
        for case in cases():
            measure(case, folder, options.runs)
        for rows in (options.delete_rows // 100, options.delete_rows // 10, options.delete_rows):
            delete_of_everything(f"DELETE of all {rows:,} rows", folder, insert, options.runs, rows)
        name = f"DELETE of all {options.delete_rows:,} rows, scattered index"
        delete_of_everything(name, folder, scattered_insert, options.runs, options.delete_rows)
        print()
        log_growth(folder)


def surroundings(folder: Path) -> str:
    """Return what the figures depend on: SQLite, file system, and what a sync costs there."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    above = [mount for mount in mounts if folder.is_relative_to(mount[1])]
    _, point, kind = max(above, key=lambda mount: len(mount[1]))[:3]
    seconds = []
    with (folder / "sync").open("wb", buffering=0) as file:
        file.write(bytes(PAGE))
        for _ in range(SYNCS):
            # In place, as a write-ahead log is written once it has its size.
            file.seek(0)
            file.write(bytes(PAGE))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - began)
    sync = f"a sync of one page takes {statistics.median(seconds) * 1e6:.0f} us (median of {SYNCS})"
    return f"SQLite {sqlite3.sqlite_version}, {kind} on {point}, {os.cpu_count()} cores; {sync}"


def cases() -> Iterator[Case]:
    """Yield every comparison but the one that empties the table."""
    for setting, bar in BARS.items():
        for name, write in {"mixed": mixed, "insert": insert, "update": update, "delete": delete}.items():
            yield Case(name, schema(1), write, *setting, bar=bar)
    for setting in BARS:
        yield Case("mixed, rows scattered over the table", schema(1), scattered, *setting)
    for setting in BARS:
        yield Case("mixed, TEXT primary key", schema(1, "TEXT"), mixed, *setting)
    for setting in BARS:
        yield Case("update that changes nothing", schema(1), idle_update, *setting)
    for setting in (("NORMAL", 1), ("NORMAL", MANY)):
        for count in range(UNIQUE_COLUMNS + 1):
            yield Case(f"mixed, {count} unique indexes", schema(count), mixed, *setting)
    for setting in BARS:
        name = f"insert, {WIDE_COLUMNS} columns"
        yield Case(name, wide_schema(), wide_insert, *setting, bar=WIDE_BAR, history=False)


def schema(unique_indexes: int, key: str = "INTEGER") -> str:
    """Return a table with a primary key and so many unique indexes; the columns are always the same."""
    columns = ", ".join(f"u{n} TEXT" for n in range(UNIQUE_COLUMNS))
    indexes = "".join(f"CREATE UNIQUE INDEX t_u{n} ON t (u{n});" for n in range(unique_indexes))
    return f"CREATE TABLE t (id {key} PRIMARY KEY, {columns}, name TEXT, amount REAL, at TEXT);{indexes}"


def wide_schema() -> str:
    """Return a table of many columns with a primary key and one unique index."""
    columns = ", ".join(f"c{n} TEXT" for n in range(WIDE_COLUMNS - 2))
    return f"CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, {columns})"


def insert(number: int, history: int) -> Statement:
    """Add a row behind all others."""
    return _insert(history + number, history + number)


def scattered_insert(number: int, history: int) -> Statement:
    """Add a row behind all others, with unique values that fall anywhere in their indexes."""
    return _insert(history + number, (history + number) * SPREAD % 2**53)


def _insert(key: int, unique: int) -> Statement:
    # Of different lengths, or the pages of all indexes would fill up, and split, in the same statement.
    values = [f"{unique:0{16 + 4 * place}d}" for place in range(UNIQUE_COLUMNS)]
    row = (key, *values, "Ada Lovelace, London", key / 7, "2025-03-04T05:06:07.890123Z")
    return "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row


def update(number: int, _history: int) -> Statement:
    """Change a column that is in no index."""
    return "UPDATE t SET amount = ? WHERE id = ?", (number / 3, number)


def idle_update(number: int, _history: int) -> Statement:
    """Set a column to the value it has: SQLite itself writes nothing then, but the triggers cannot know."""
    return "UPDATE t SET name = name WHERE id = ?", (number,)


def delete(number: int, _history: int) -> Statement:
    """Remove a row."""
    return "DELETE FROM t WHERE id = ?", (number,)


def mixed(number: int, history: int) -> Statement:
    """Do the three in turn."""
    return (insert, update, delete)[number % 3](number, history)


def scattered(number: int, history: int) -> Statement:
    """Do the three in turn, each somewhere else in the table."""
    anywhere = 1 + number * STRIDE % history
    return (scattered_insert(number, history), update(anywhere, history), delete(anywhere, history))[number % 3]


def wide_insert(number: int, _history: int) -> Statement:
    """Add a row of many columns."""
    marks = ", ".join("?" * WIDE_COLUMNS)
    return f"INSERT INTO t VALUES ({marks})", (number, f"{number:016d}", *WIDE_VALUES)


WIDE_VALUES = tuple(f"value {n}" for n in range(WIDE_COLUMNS - 2))


def measure(case: Case, folder: Path, runs: int) -> None:
    """Let both sides write in turn and print the line of this case."""
    rows = RUN_ROWS[case.synchronous, case.rows] // (1 if case.history else WIDE_SHARE)
    history = rows * (runs + 2) if case.history else 0
    paths = make(folder, case.schema, partial(fill, rows=history))
    sides = [sqlite3.connect(path, isolation_level=None) for path in paths]
    for side in sides:
        side.execute(f"PRAGMA synchronous = {case.synchronous}")
    timed = []
    for run in range(runs + 1):
        statements = [case.write(1 + run * rows + n, history) for n in range(rows)]
        timed.append(one_run(sides, statements, case.rows))
    for side in sides:
        side.close()
    # The first turn warms caches and compiles statements.
    report(str(case), timed[1:], rows, case.bar)


def one_run(sides: Sequence[sqlite3.Connection], statements: Sequence[Statement], rows: int) -> list[float]:
    """Let both sides do the same in slices, taking turns: what else the machine does then meets both alike."""
    totals = [0.0 for _ in sides]
    size = len(statements) // SLICES
    for first in range(0, len(statements), size):
        for place, side in enumerate(sides):
            totals[place] += seconds(side, statements[first : first + size], rows)
    return totals


def seconds(connection: sqlite3.Connection, statements: Sequence[Statement], rows: int) -> float:
    """Run the statements in transactions of so many; return the seconds that took."""
    execute = connection.execute
    began = time.perf_counter()
    if rows == 1:
        for statement, values in statements:
            execute(statement, values)
    else:
        for first in range(0, len(statements), rows):
            execute("BEGIN")
            for statement, values in statements[first : first + rows]:
                execute(statement, values)
            execute("COMMIT")
    return time.perf_counter() - began


def make(folder: Path, schema: str, fill: Callable[[sqlite3.Connection], None]) -> tuple[Path, Path]:
    """Make a database and a captured copy of it in the place of those of the case before."""
    for left in folder.glob("*.db*"):
        left.unlink()
    plain, captured = folder / "plain.db", folder / "captured.db"
    with closing(sqlite3.connect(plain, isolation_level=None)) as connection:
        connection.executescript(f"PRAGMA journal_mode = wal; PRAGMA synchronous = OFF; {schema}")
        fill(connection)
    shutil.copyfile(plain, captured)
    with closing(sqlite3.connect(captured)) as connection:
        tables = read_schema(connection).tables
        version = connection.execute("PRAGMA schema_version").fetchone()[0]
    capture.install(captured, [(number, table, table.key) for number, table in enumerate(tables, 1)], version)
    return plain, captured


def fill(connection: sqlite3.Connection, rows: int, write: Callable[[int, int], Statement] = insert) -> None:
    """Give the table rows 1 to `rows`."""
    if not rows:
        return
    connection.execute("BEGIN")
    connection.executemany(write(1, 0)[0], (write(number, 0)[1] for number in range(1, rows + 1)))
    connection.execute("COMMIT")


def report(name: str, timed: Sequence[Sequence[float]], rows: int, bar: float | None) -> None:
    """Print one line."""
    ratios = [captured / plain for plain, captured in timed]
    ratio = statistics.median(ratios)
    spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
    plain, captured = (statistics.median(side) / rows * 1e6 for side in zip(*timed, strict=True))
    verdict = "" if bar is None else f"{bar:.2f} {'met' if ratio <= bar else 'MISSED'}"
    print(f"{name:55}{ratio:>6.2f}  {spread:<11}{plain:>7.1f} -> {captured:>6.1f}  {verdict}".rstrip(), flush=True)


def delete_of_everything(name: str, folder: Path, write: Callable[[int, int], Statement], runs: int, rows: int) -> None:
    """Empty a table in one statement; without triggers SQLite drops the pages and looks at no row."""
    paths = make(folder, schema(1), partial(fill, rows=rows, write=write))
    work = folder / "work.db"
    timed = []
    for _ in range(runs):
        turn = []
        for path in paths:
            shutil.copyfile(path, work)
            with closing(sqlite3.connect(work, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = NORMAL")
                turn.append(seconds(connection, [("DELETE FROM t", ())], 1))
        timed.append(turn)
    report(f"{name}; NORMAL", timed, rows, None)


def log_growth(folder: Path) -> None:
    """Print what one entry of the changelog adds to the file, for common kinds of keys."""
    uuid = "'0191d5a4-0000-4000-8000-' || printf('%012d', value)"
    kinds = {
        "an INTEGER": ("id INTEGER PRIMARY KEY, v", "value"),
        "a UUID as TEXT": ("id TEXT PRIMARY KEY, v", uuid),
        "a UUID and a number": ("id TEXT, n INTEGER DEFAULT 7, v, PRIMARY KEY (id, n)", uuid),
    }
    for name, (columns, key) in kinds.items():
        numbers = f"WITH RECURSIVE g (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM g LIMIT {GROWTH_ROWS})"
        rows = f"INSERT INTO t (id, v) {numbers} SELECT {key}, 1 FROM g"
        _, captured = make(folder, f"CREATE TABLE t ({columns}); {rows}", partial(fill, rows=0))
        with closing(sqlite3.connect(captured, isolation_level=None)) as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute("UPDATE t SET v = 2")
            grown = connection.execute("PRAGMA page_count").fetchone()[0] - pages
            page_size = connection.execute("PRAGMA page_size").fetchone()[0]
        print(f"one entry of the changelog, its key {name}: {grown * page_size / GROWTH_ROWS:.0f} bytes")


if __name__ == "__main__":
    main()
