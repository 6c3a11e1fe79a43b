"""What rows that go to quarantine cost a copy: a table with a hundred scattered bad ones against a clean one, in turn.

    python bench/copy_with_bad_rows.py --rows 10000000 --rounds 3

Half of the bad rows are refused by the codecs (text in an INTEGER column), half only by PostgreSQL (a CHECK of the
mapping). Prints each round and the median ratio of the speeds, and checks that exactly those rows are in quarantine.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from random import Random

BAD = 100
SETTINGS = 'target = "embedded"\n[tables.t.columns]\nv = { type = "text", check = "v <> \'refused\'" }\n'


def main() -> None:
    """Run the rounds and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cdcsync-bench-") as folder:
        clean, bad = Path(folder) / "clean.db", Path(folder) / "bad.db"
        fill(clean, arguments.rows)
        fill(bad, arguments.rows)
        spoiled = spoil(bad, arguments.rows)
        ratios = []
        for _ in range(arguments.rounds):
            first, second = copy(clean, set()), copy(bad, spoiled)
            ratios.append(first / second)
            print(f"clean {first:.1f} s, with {BAD} bad rows {second:.1f} s, speed {ratios[-1]:.2f} of the clean one")
    print(f"speed with bad rows: median {statistics.median(ratios):.2f} of the clean one")


def fill(path: Path, rows: int) -> None:
    """Make the table."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, v TEXT, r REAL)")
        lines = ((n, n * 7 % 1000, f"value number {n} of the table", n / 3) for n in range(1, rows + 1))
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", lines)
        connection.commit()


def spoil(path: Path, rows: int) -> set[str]:
    """Scatter the bad rows; return their keys."""
    chosen = Random(3).sample(range(1, rows + 1), BAD)  # noqa: S311  no secret
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany("UPDATE t SET n = 'many' WHERE id = ?", [(n,) for n in chosen[::2]])
        connection.executemany("UPDATE t SET v = 'refused' WHERE id = ?", [(n,) for n in chosen[1::2]])
        connection.commit()
    return {str(n) for n in chosen}


def copy(source: Path, expected: set[str]) -> float:
    """Copy a table into a new embedded PostgreSQL; return the seconds."""
    with tempfile.TemporaryDirectory(prefix="cdcsync-bench-", dir=source.parent) as folder:
        (Path(folder) / "cdcsync.toml").write_text(f'source = "{source}"\n{SETTINGS}')
        verb(folder, "install")
        done = json.loads(verb(folder, "run", "--once", "--json"))
        rows = json.loads(verb(folder, "quarantine", "list", "--json"))["rows"]
        assert {row["key"] for row in rows} == expected, f"{len(rows)} rows in quarantine"
        verb(folder, "uninstall", "--target")
    return float(done["copy_seconds"])


def verb(folder: str, *words: str) -> str:
    """Run a verb; 1 is the answer of a run with rows in quarantine."""
    command = [sys.executable, "-m", "cdcsync", *words]
    done = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout


if __name__ == "__main__":
    main()
