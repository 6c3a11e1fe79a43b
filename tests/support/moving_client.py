"""An application that writes to whichever side takes it: `python moving_client.py FILE CONNINFO LEDGER NAME`.

It writes to SQLite until that says that it has moved, then to PostgreSQL, and back where PostgreSQL is guarded. What a
side acknowledged goes into the ledger, one line a write: its id, the side, how long it took. Ends at SIGTERM; a write
whose answer never came is not in the ledger. Errors that an application would not expect end it with a traceback.
"""

from __future__ import annotations

import signal
import sqlite3
import sys
import time
from pathlib import Path

import psycopg

INSERT = "INSERT INTO entries (id, client, text) VALUES (?, ?, ?)"
PAUSE_SECONDS = 0.004

going = True


def _stop(_number: int, _frame: object) -> None:
    global going  # noqa: PLW0603  a script of one loop
    going = False


def _sqlite(path: str, row: tuple[str, str, str]) -> bool:
    """Write; False where the database has moved. It begins with a write, so it waits in its busy timeout."""
    connection = sqlite3.connect(path, timeout=5, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(INSERT, row)
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if "moved to PostgreSQL" not in str(error):
            raise
        return False
    finally:
        connection.close()
    return True


def _postgres(conninfo: str, row: tuple[str, str, str]) -> bool:
    """Write; False where PostgreSQL is guarded."""
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(INSERT.replace("?", "%s"), row)
    except psycopg.errors.ObjectNotInPrerequisiteState:
        return False
    return True


def main(path: str, conninfo: str, ledger: Path, name: str) -> None:
    """Write until told to stop."""
    signal.signal(signal.SIGTERM, _stop)
    sides = [("sqlite", lambda row: _sqlite(path, row)), ("postgres", lambda row: _postgres(conninfo, row))]
    number = 0
    with ledger.open("a", encoding="utf-8") as written:
        while going:
            number += 1
            row = (f"{name}-{number}", name, "x" * 20)
            began = time.monotonic()
            if sides[0][1](row):
                written.write(f"{row[0]} {sides[0][0]} {time.monotonic() - began:.3f}\n")
                written.flush()
            else:
                number -= 1
                sides.reverse()
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4])
