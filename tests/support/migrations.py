"""A bank whose tables a migration tool rebuilds while it goes on writing, and what must be true of its copy."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from support.compare import assert_same, tables_of
from support.migrations_log import Log
from support.migrations_writer import SEEDS, columns_of, seed
from support.processes import clean_environment
from support.waiting import wait_until

if TYPE_CHECKING:
    from support.cli import Cli
    from support.processes import Processes, Running

TESTS = Path(__file__).parents[1]
NOTICED_SECONDS = 5.0
ANSWERS_OF_SQLITE = re.compile(
    r"OperationalError: (no such table: |no such column: |table \w+ has no column named )"
    r"|IntegrityError: NOT NULL constraint failed"
)
"""What a statement written for the schema of a moment ago meets, with cdcsync and without it."""


@dataclass(frozen=True)
class Step:
    """A migration that was applied: its commit lies between the two times (seconds since 1970)."""

    name: str
    began: float
    ended: float
    retries: int


class Tool:
    """A running migration tool."""

    def __init__(self, running: Running, commands: Path) -> None:
        """Wait until it is ready."""
        self._running, self._commands = running, commands
        self._answers = 0
        self._next_answer()

    def run(self, step: str) -> Step:
        """Have a step done."""
        with self._commands.open("a", encoding="utf-8") as commands:
            commands.write(f"{step}\n")
        answer = self._next_answer()
        return Step(step, answer["began"], answer["ended"], answer["retries"])

    def _next_answer(self) -> dict[str, Any]:
        def answered() -> str | None:
            lines = self._running.out.split("\n")[:-1]
            assert lines[self._answers :] or self._running.is_running(), self._running.err
            return lines[self._answers] if lines[self._answers :] else None

        line = wait_until(answered, "an answer of the migration tool")
        self._answers += 1
        answer: dict[str, Any] = json.loads(line or "")
        return answer


class Bank:
    """The source with its tool, its writer and the console command."""

    def __init__(self, cli: Cli, processes: Processes, folder: Path, tool: str, mode: str) -> None:
        """Let the tool create the tables, with few rows in them."""
        self.cli, self.path, self._folder, self._processes = cli, folder / "app.db", folder, processes
        (cli.cwd / "cdcsync.toml").write_text('source = "../app.db"\n')
        with closing(sqlite3.connect(self.path)) as db:
            db.execute("PRAGMA journal_mode = wal")
        commands = folder / "tool.steps"
        commands.touch()
        self._ledger.touch()
        self.tool = Tool(self._start(f"migrations_{tool}", self.path, commands, mode), commands)
        self.tool.run("tables")
        seed(self.path)
        self.writer: Running | None = None
        self._daemons: list[Running] = []
        self._dropped: list[str] = []

    def start_daemon(self, *options: str, state: str | None = "streaming") -> Running:
        """Start the daemon, and wait for the state it is to reach."""
        daemon = self.cli.start("run", *options)
        self._daemons.append(daemon)
        if state is not None:
            self.cli.wait_for_state(state, daemon)
        return daemon

    @staticmethod
    def wait_until_logged(daemon: Running, text: str) -> None:
        """Wait until a daemon has logged this."""

        def logged() -> bool:
            assert daemon.is_running(), daemon.err
            return text in daemon.err

        wait_until(logged, f"the daemon logs {text!r}")

    def log(self) -> Log:
        """Return what the daemons have logged."""
        return Log(daemon.err for daemon in self._daemons)

    def start_writer(self, rate: float = 150.0) -> None:
        """Let the application write."""
        self.writer = self._start("migrations_writer", self.path, self._ledger, "--rate", str(rate))
        self.writer.wait_for_line("writing")

    def stop_writer(self) -> dict[str, Any]:
        """Stop the application; it met nothing that it would not have met alone."""
        assert self.writer is not None
        self.writer.send(signal.SIGTERM)
        assert self.writer.wait() == 0, self.writer.err
        said: dict[str, Any] = json.loads(self.writer.out.splitlines()[-1])
        assert said["commits"] > 0
        assert not [error for error in said["errors"] if not ANSWERS_OF_SQLITE.match(error)], said
        return said

    def write(self, statement: str) -> None:
        """Let the application write once."""
        with closing(sqlite3.connect(self.path, timeout=30)) as db, db:
            db.execute(statement)

    def add_rows(self, rows: int) -> None:
        """Let each table have so many rows."""
        seed(self.path, SEEDS + 1, rows)

    def is_writing(self) -> bool:
        """Tell whether the application runs."""
        return self.writer is not None and self.writer.is_running()

    def status(self) -> dict[str, Any]:
        """Return `status --json`."""
        found: dict[str, Any] = self.cli("status", "--json").json
        return found

    def settle(self) -> dict[str, Any]:
        """Wait until nothing is drifted, and everything applied unless the application writes; return that status."""

        def settled() -> dict[str, Any] | None:
            self.wait_for("state = 'streaming' AND NOT EXISTS (SELECT FROM cdcsync.drift WHERE closed_at IS NULL)")
            found = self.status()
            applied = found["pending_changes"] == 0 or self.is_writing()
            return found if found["state"] == "streaming" and not found["drift"] and applied else None

        return wait_until(settled, "streaming without drift") or {}

    def wait_for(self, condition: str) -> None:
        """Wait for something about the checkpoint: asking PostgreSQL costs less than a verb."""
        query = f"SELECT count(*) FROM cdcsync.checkpoint WHERE {condition}"
        wait_until(lambda: self._database.value(query), condition)

    def assert_equal(self, gone: str | None = None) -> None:
        """Every row is equal by cdcsync's comparison and by another, and no acknowledged write is missing.

        But for those to a table that is gone.
        """
        verified = self.cli("verify", "--json").json
        assert verified["equal"], verified["differences"][:5]
        assert {table["name"] for table in verified["tables"]} == set(tables_of(self.path))
        self._drop_what_the_source_dropped()
        assert_same(self.path, self._database)
        self._assert_ledger(gone)

    def _assert_ledger(self, gone: str | None) -> None:
        expected: dict[int, str | None] = {}
        for line in (line for line in self.ledger() if line["table"] != gone):
            expected |= {int(row): token for row, token in line["rows"].items()}
        with closing(sqlite3.connect(self.path)) as db:
            tables = columns_of(db)
        found = dict(row for table in tables for row in self._database.rows(f'SELECT id, token FROM "{table}"'))
        wrong = {row: (token, found.get(row)) for row, token in expected.items() if found.get(row) != token}
        assert not wrong, f"{len(wrong)} of {len(expected)} acknowledged rows, such as {list(wrong.items())[:5]}"

    def ledger(self) -> list[dict[str, Any]]:
        """Return the acknowledged writes, oldest first."""
        return [json.loads(line) for line in self._ledger.read_text(encoding="utf-8").splitlines()]

    def unseen(self) -> list[dict[str, Any]]:
        """Return the acknowledged writes of new rows that no trigger saw."""
        with closing(sqlite3.connect(self.path)) as db:
            logged = {key for (key,) in db.execute("SELECT k1 FROM _cdcsync_log")}
        return [line for line in self.ledger() if not {int(row) for row in line["rows"]} & logged]

    def assert_noticed(self, steps: list[Step]) -> None:
        """Every one of these was noticed by the daemon soon after its commit: a second is promised."""
        log = self.log()
        for step in steps:
            noticed = log.noticed(step.began, step.ended)
            assert noticed is not None, f"{step} was not noticed"
            assert noticed < NOTICED_SECONDS, f"{step} was noticed after {noticed:.1f} s"

    def assert_refused_by_postgresql(self, statement: str) -> None:
        """A constraint of the copy forbids what this statement does, to cdcsync's own writer too."""
        with self._database.server.admin(self._database.name) as admin:
            admin.execute("SELECT set_config('cdcsync.writer', source_id::text, false) FROM cdcsync.checkpoint")
            with pytest.raises(psycopg.IntegrityError):
                admin.execute(statement)

    def checks_of_the_handover(self, table: str) -> list[str]:
        """Return the CHECKs of the source that the copy gets at the handover."""
        query = "SELECT statement FROM cdcsync.pending_ddl WHERE phase = 'source_check' AND table_name = %s"
        with self._database.server.admin(self._database.name) as admin:
            return [statement for (statement,) in admin.execute(query, [table])]

    def statement_for_a_person(self, daemon: Running) -> str:
        """Return the statement the last line of a stopped daemon asks for, which `status` shows too."""
        last = daemon.err.splitlines()[-1]
        found = re.search(r"not done without you: (.*) \(cdcsync psql runs it\)", last)
        assert found, daemon.err
        status = self.status()
        assert status["state"] == "stopped"
        assert found[1] in status["last_errors"][0]
        return found[1]

    def assert_gaps(self, gaps: list[dict[str, Any]], steps: list[tuple[str, Step]]) -> None:
        """The gaps that `status` tells hold the steps that made them, and every write nobody saw; there was one."""
        spans = [(gap["table"], seconds(gap["since"]), seconds(gap["until"])) for gap in gaps if gap["until"]]
        assert all(gap["closed_at"] for gap in gaps), gaps
        for table, step in steps:
            assert _inside(spans, table, step.began, step.ended), f"{step} of {table} is in no gap of {gaps}"
        unseen = self.unseen()
        assert unseen, "the tables were rebuilt without a write that nobody saw: nothing was tested"
        for line in unseen:
            assert _inside(spans, line["table"], line["began"], line["ended"]), f"{line} is in no gap of {gaps}"

    def _drop_what_the_source_dropped(self) -> None:
        """Run the statements that the daemon has left to a person, as it gave them."""
        with self._database.connect() as connection:
            for statement in self.log().statements()[len(self._dropped) :]:
                connection.execute(statement.encode())
                self._dropped.append(statement)

    @property
    def _ledger(self) -> Path:
        return self._folder / "ledger.jsonl"

    @property
    def _database(self) -> Any:
        return self.cli.database

    def _start(self, module: str, *arguments: str | Path) -> Running:
        command = ("-m", f"support.{module}", *arguments)
        return self._processes.start(sys.executable, *command, environment=clean_environment(PYTHONPATH=str(TESTS)))


def seconds(moment: str) -> float:
    """Return a time of cdcsync's JSON as seconds since 1970."""
    return datetime.fromisoformat(moment).timestamp()


def _inside(spans: list[tuple[str, float, float]], table: str, began: float, ended: float) -> bool:
    return any(name == table and since <= ended and began <= until for name, since, until in spans)
