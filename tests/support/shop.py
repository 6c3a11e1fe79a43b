"""A small database with every common kind of key, and a writer that does to it what applications do.

As a script it is an application of its own: `python shop.py FILE --rate N --seed N`, until SIGTERM, or
`--commits N`; its last line on stdout is JSON: commits, and the errors it met, of which there must be none.
"""

from __future__ import annotations

import argparse
import json
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random

SCHEMA = """
CREATE TABLE customers (
    id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL UNIQUE, name TEXT, credit REAL,
    active BOOLEAN NOT NULL DEFAULT 1, created DATETIME
);
CREATE TABLE orders (
    id TEXT PRIMARY KEY NOT NULL, customer_id INTEGER NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    total DECIMAL(10,2), placed_at TEXT
);
CREATE TABLE lines (
    order_id TEXT NOT NULL REFERENCES orders (id) ON DELETE CASCADE, number INTEGER NOT NULL,
    product TEXT, amount REAL, extra BLOB, PRIMARY KEY (order_id, number)
) WITHOUT ROWID;
CREATE TABLE prices (product TEXT NOT NULL, day INTEGER NOT NULL, price INTEGER, UNIQUE (product, day));
CREATE INDEX lines_product ON lines (product);
"""
WORDS = ("Schön", "naïve", "面接", "O'Neil", 'a "b"', "C:\\new\\table", "tab\there", "line\nbreak", "🎉", "", "plain")
MOMENT = "2025-03-04T05:06:07.890123Z"


def create(path: Path, customers: int = 200, journal: str = "wal") -> Path:
    """Make the database with its history."""
    random = Random(1)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = " + journal)
        db.executescript(SCHEMA)
        for number in range(customers):
            _new_customer(db, random, f"old{number}")
            _new_order(db, random, number + 1, f"order-old-{number}")
        db.commit()
    return path


def _word(random: Random) -> str:
    return " ".join(random.choices(WORDS, k=random.randint(1, 4)))


def _new_customer(db: sqlite3.Connection, random: Random, name: str) -> None:
    values = (f"{name}@example.org", _word(random), random.choice((None, 0.1, -1e300, random.random())), MOMENT)
    db.execute("INSERT INTO customers (email, name, credit, created) VALUES (?, ?, ?, ?)", values)


def _new_order(db: sqlite3.Connection, random: Random, customer: int, name: str) -> None:
    order = (name, customer, round(random.random() * 1000, 2), MOMENT)
    db.execute("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?)", order)
    for number in range(random.randint(1, 3)):
        line = (name, number, _word(random), random.random() * 10, random.randbytes(random.randint(0, 40)))
        db.execute("INSERT OR REPLACE INTO lines VALUES (?, ?, ?, ?, ?)", line)


class Writer:
    """Writes transactions of every kind; the same ones for the same seed and database."""

    def __init__(self, db: sqlite3.Connection, seed: int) -> None:
        """Write through this connection."""
        self._db, self._random, self._seed = db, Random(seed), seed
        self._number = 0
        self._kinds = (
            *(self._add, self._add, self._add, self._change, self._change, self._order, self._order, self._price),
            *(self._replace, self._swap, self._rename_order, self._many, self._remove, self._undo),
        )

    def transaction(self) -> None:
        """Write one transaction."""
        self._number += 1
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._random.choice(self._kinds)()
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _customer(self) -> int:
        return int(self._db.execute("SELECT id FROM customers ORDER BY random() LIMIT 1").fetchone()[0])

    def _add(self) -> None:
        _new_customer(self._db, self._random, f"w{self._seed}-{self._number}")

    def _change(self) -> None:
        values = (_word(self._random), self._random.random(), self._customer())
        self._db.execute("UPDATE customers SET name = ?, credit = ?, active = NOT active WHERE id = ?", values)

    def _order(self) -> None:
        _new_order(self._db, self._random, self._customer(), f"order-{self._seed}-{self._number}")

    def _price(self) -> None:
        values = (self._random.choice(WORDS), self._random.randint(1, 50), self._random.randint(-(2**63), 2**63 - 1))
        upsert = "INSERT INTO prices VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET price = excluded.price"
        self._db.execute(upsert, values)

    def _replace(self) -> None:
        """Delete a row that no DELETE trigger sees, and its orders by cascade."""
        email = self._db.execute("SELECT email FROM customers ORDER BY random() LIMIT 1").fetchone()[0]
        self._db.execute("INSERT OR REPLACE INTO customers (email, name) VALUES (?, 'replaced')", (email,))

    def _swap(self) -> None:
        """Let two rows exchange a unique value."""
        rows = self._db.execute("SELECT id, email FROM customers ORDER BY random() LIMIT 2").fetchall()
        (one, first), (two, second) = rows
        for email, ident in (("in between", one), (first, two), (second, one)):
            self._db.execute("UPDATE customers SET email = ? WHERE id = ?", (email, ident))

    def _rename_order(self) -> None:
        """Change a primary key."""
        without_lines = "SELECT id FROM orders WHERE id NOT IN (SELECT order_id FROM lines) LIMIT 1"
        name = f"renamed-{self._seed}-{self._number}"
        self._db.execute(f"UPDATE orders SET id = ? WHERE id = ({without_lines})", (name,))
        self._db.execute("DELETE FROM lines WHERE order_id = (SELECT min(id) FROM orders)")

    def _many(self) -> None:
        for part in range(self._random.randint(2, 60)):
            _new_customer(self._db, self._random, f"w{self._seed}-{self._number}-{part}")

    def _remove(self) -> None:
        self._db.execute("DELETE FROM customers WHERE id IN (SELECT id FROM customers ORDER BY random() LIMIT 9)")

    def _undo(self) -> None:
        self._db.execute("SAVEPOINT s")
        self._add()
        self._db.execute("ROLLBACK TO s")
        self._db.execute("RELEASE s")


def open_as_application(path: str | Path) -> sqlite3.Connection:
    """Open the file as an ordinary application does."""
    db = sqlite3.connect(path, timeout=5, isolation_level=None)
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA synchronous = NORMAL")
    return db


def main() -> int:
    """Write until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--commits", type=int, default=2**62)
    options = parser.parse_args()
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    errors: list[str] = []
    commits, due = 0, time.monotonic()
    with closing(open_as_application(options.file)) as db:
        writer = Writer(db, options.seed)
        sys.stdout.write("writing\n")
        sys.stdout.flush()
        while not stopped and commits < options.commits:
            try:
                writer.transaction()
                commits += 1
            except sqlite3.Error as error:
                errors.append(str(error))
            due = max(due + 1 / options.rate, time.monotonic() - 0.1)
            time.sleep(max(0.0, due - time.monotonic()))
    sys.stdout.write(json.dumps({"commits": commits, "errors": errors[:20]}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
