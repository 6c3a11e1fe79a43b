"""Clients that write to whichever side takes it, and what each side acknowledged: the judge of a cutover."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support import moving_client
from support.waiting import LIMIT_SECONDS, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.postgres import Database
    from support.processes import Processes, Running

SCHEMA = """
CREATE TABLE entries (id TEXT PRIMARY KEY, client TEXT NOT NULL, text TEXT);
CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT REFERENCES entries (id) ON DELETE CASCADE);
"""
CLIENTS = 3


@dataclass
class Sides:
    """One application's clients and both databases; each client keeps a ledger of its own."""

    source: Path
    database: Database
    folder: Path
    clients: list[Running] = field(default_factory=list)
    given_up: set[str] = field(default_factory=set)
    """What PostgreSQL had acknowledged and a rollback was told to discard."""
    patience: float = LIMIT_SECONDS

    def start(self, processes: Processes) -> None:
        """Let clients write, and wait until they do."""
        for number in range(CLIENTS):
            ledger = self.folder / f"ledger-{number}"
            arguments = (self.source, self.database.conninfo(), ledger, f"c{number}")
            self.clients.append(processes.start(sys.executable, moving_client.__file__, *arguments))
        self.wait_for_writes("sqlite")

    def stop(self) -> None:
        """End the clients, none of which met an error."""
        for client in self.clients:
            assert client.terminate() == 0, client.err

    @property
    def ledger(self) -> list[tuple[str, str, float]]:
        """Every acknowledged write: id, side, seconds."""
        lines = [line.split() for path in self.folder.glob("ledger-*") for line in path.read_text().splitlines()]
        return [(line[0], line[1], float(line[2])) for line in lines]

    def acknowledged(self, side: str) -> set[str]:
        """Return the ids a side acknowledged."""
        return {ident for ident, where, _ in self.ledger if where == side} - self.given_up

    def wait_for_writes(self, side: str, more: int = 20) -> None:
        """Wait until a side has acknowledged more writes."""
        before = len(self.acknowledged(side))
        wait_until(lambda: len(self.acknowledged(side)) >= before + more, f"writes to {side}", self.patience)

    def in_sqlite(self) -> set[str]:
        """Return the ids SQLite holds."""
        with closing(sqlite3.connect(self.source)) as connection:
            return {ident for (ident,) in connection.execute("SELECT id FROM entries")}

    def in_postgres(self) -> set[str]:
        """Return the ids PostgreSQL holds."""
        return {ident for (ident,) in self.database.rows("SELECT id FROM entries")}

    def assert_nobody_harmed(self, longest: float) -> None:
        """Nobody stopped with an error, no write waited longer than it may, none was taken by both."""
        for client in self.clients:
            assert client.is_running(), client.err
        ledger = self.ledger
        assert len({ident for ident, _, _ in ledger}) == len(ledger), "a write was acknowledged twice"
        slowest = max(seconds for _, _, seconds in ledger)
        assert slowest < longest, f"a write waited {slowest} s"

    def assert_moved(self) -> None:
        """Every write is in PostgreSQL, and those it took are not in SQLite."""
        self.wait_for_writes("postgres")
        here, there = self.in_sqlite(), self.in_postgres()
        assert self.acknowledged("sqlite") <= here <= there
        assert not self.acknowledged("postgres") & here
        assert self.acknowledged("postgres") <= self.in_postgres()

    def assert_back(self) -> None:
        """Every write that was not given up is in SQLite, which takes them again."""
        self.given_up |= self.acknowledged("postgres")
        self.wait_for_writes("sqlite")
        assert self.acknowledged("sqlite") <= self.in_sqlite()
