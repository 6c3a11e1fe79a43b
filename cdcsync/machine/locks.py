"""Locks on tables an application uses: taken all together in a moment, or let go of and tried again."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psycopg

from cdcsync.edges.target import Target, table_name
from cdcsync.words.errors import RefusedError

LONGEST_WAIT = 30.0
"""How long transactions of others are waited for."""

PAUSE = 0.2
"""How long the application has the tables to itself between two tries."""


def lock_tables(target: Target, schema: str, tables: Iterable[str]) -> None:
    """Keep others out of the tables until the caller's transaction ends.

    No try waits as long as PostgreSQL needs to see a deadlock, which could end a statement of the application's.

    Raises RefusedError where others hold one of them for longer than `LONGEST_WAIT`.
    """
    wanted = list(tables)
    give_up = time.monotonic() + LONGEST_WAIT
    while True:
        try:
            with target.savepoint():
                target.ask("session.sql", "wait_briefly")
                for table in wanted:
                    target.execute("catalog.sql", "lock", {"table": table_name(schema, table)})
                target.ask("session.sql", "wait_long")
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() >= give_up:
                raise RefusedError(_held(target, schema, wanted)) from None
            time.sleep(PAUSE)
        else:
            return


def _held(target: Target, schema: str, tables: list[str]) -> str:
    holders = [str(row[0]) for row in target.rows("catalog.sql", "lock_holders", schema=schema, tables=tables)]
    return (
        f"a table is held by another transaction (pid {', '.join(holders) or 'unknown'}) for longer than "
        f"{LONGEST_WAIT:g} s, nothing was changed: let it end, or end it with SELECT pg_terminate_backend(pid), and "
        "run this again"
    )
