"""An application that goes on writing while its tables change, and remembers what it was told is safe.

`python -m support.migrations_writer FILE LEDGER`: writes to every table with the columns `id` and `token`, until
SIGTERM. What was committed is a line in the ledger; its last line on stdout is JSON: commits, and the errors it met.
A statement that fails is not repeated: the next one is written for the schema as it is then.
"""

from __future__ import annotations

import argparse
import json
import signal
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

SEEDS = 50
"""Rows of each table that were there before; nobody deletes them."""

MOMENT = "2025-03-04 05:06:07.890123"
TABLES = """
SELECT m.name, p.name, p.type, p.dflt_value FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS p
WHERE m.type = 'table' AND m.name NOT LIKE '\\_%' ESCAPE '\\' AND m.name NOT LIKE 'new\\_\\_%' ESCAPE '\\'
ORDER BY m.name, p.cid
"""


def value(column: str, declared: str, number: int) -> object:
    """Return what row `number` holds in a column of this declared type; texts are never the same twice."""
    if column == "account_id":
        return 1 + number % SEEDS
    for part, made in (("BOOL", number % 2), ("INT", number % 1000), ("DATE", MOMENT)):
        if part in declared.upper():
            return made
    if any(part in declared.upper() for part in ("DEC", "NUM")):
        return number % 10_000 / 100
    return f"{column} {number}"


def seed(path: Path, first: int = 1, last: int = SEEDS) -> None:
    """Fill the tables with rows that are there before the writer."""
    with closing(sqlite3.connect(path)) as db, db:
        for table, columns in columns_of(db).items():
            names, marks = ", ".join(columns), ", ".join("?" * len(columns))
            lines = (
                [number if name == "id" else value(name, kind, number) for name, (kind, _) in columns.items()]
                for number in range(first, last + 1)
            )
            db.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", lines)


def columns_of(db: sqlite3.Connection) -> dict[str, dict[str, tuple[str, bool]]]:
    """Return declared type and whether there is a default, by column, of each table to write to."""
    found: dict[str, dict[str, tuple[str, bool]]] = {}
    for table, column, kind, default in db.execute(TABLES):
        found.setdefault(table, {})[column] = (kind, default is not None)
    return {table: columns for table, columns in found.items() if {"id", "token"} <= columns.keys()}


class Writer:
    """Writes transactions and the ledger. An id is never used for two rows, whatever their tables."""

    def __init__(self, db: sqlite3.Connection, ledger: TextIO, seed: int) -> None:
        """Begin with the schema as it is."""
        self._db, self._ledger, self._random = db, ledger, Random(seed)
        self._number = 1_000_000 * seed
        self._mine: dict[str, list[int]] = {}
        self._columns = columns_of(db)
        self.commits = 0
        self.errors: Counter[str] = Counter()

    def transaction(self) -> None:
        """Write one transaction."""
        try:
            began = time.time()
            self._db.execute("BEGIN IMMEDIATE")
            table = self._random.choice(sorted(self._columns))
            rows = self._change(table)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self.errors[f"{type(error).__name__}: {error}"] += 1
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            self._columns = columns_of(self._db)
            return
        self.commits += 1
        self._remember(table, rows)
        line = {"table": table, "began": began, "ended": time.time(), "rows": rows}
        self._ledger.write(json.dumps(line) + "\n")
        self._ledger.flush()

    def _change(self, table: str) -> dict[int, str | None]:
        """Change a table; return the token each changed row has now, None for a row that is gone."""
        self._number += 1
        mine = self._mine.get(table)
        kind = self._random.random()
        if kind < 0.5 or not mine:
            return self._insert("INSERT", table, self._number)
        row = self._random.choice(mine)
        if kind < 0.75:
            token = f"changed {self._number}"
            self._db.execute(f"UPDATE {table} SET token = ? WHERE id = ?", (token, row))
            return {row: token}
        if kind < 0.9:
            return self._insert("INSERT OR REPLACE", table, row)
        self._db.execute(f"DELETE FROM {table} WHERE id = ?", (row,))
        return {row: None}

    def _remember(self, table: str, rows: dict[int, str | None]) -> None:
        mine = self._mine.setdefault(table, [])
        for row, token in rows.items():
            if token is None:
                mine.remove(row)
            elif row not in mine:
                mine.append(row)

    def _insert(self, verb: str, table: str, row: int) -> dict[int, str | None]:
        columns = self._columns[table]
        given = [name for name, (_, default) in columns.items() if not default or self._random.random() < 0.5]
        values = [row if name == "id" else value(name, columns[name][0], self._number) for name in given]
        self._db.execute(f"{verb} INTO {table} ({', '.join(given)}) VALUES ({', '.join('?' * len(given))})", values)
        return {row: str(values[given.index("token")])}


def main() -> None:
    """Write until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--rate", type=float, default=150.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    connection = sqlite3.connect(options.file, timeout=30, isolation_level=None)
    with closing(connection) as db, options.ledger.open("a", encoding="utf-8") as ledger:
        db.execute("PRAGMA foreign_keys = 1")
        writer = Writer(db, ledger, options.seed)
        sys.stdout.write("writing\n")
        sys.stdout.flush()
        due = time.monotonic()
        while not stopped:
            writer.transaction()
            due = max(due + 1 / options.rate, time.monotonic() - 0.1)
            time.sleep(max(0.0, due - time.monotonic()))
    sys.stdout.write(json.dumps({"commits": writer.commits, "errors": writer.errors}) + "\n")


if __name__ == "__main__":
    main()
