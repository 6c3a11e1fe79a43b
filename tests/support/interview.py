"""The interview service: started, filled, put under load, and asked what it has stored."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.services import LoadOf, Service, Supervised, environment_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.postgres import Database
    from support.processes import Processes

EXAMPLE = Path(__file__).parents[2] / "examples" / "interview"
MESSAGES, MESSAGES_IN_FULL = 2_000, 200_000
SESSIONS_ASKED = 200
TEXT_OF = {"sessions": "summary", "messages": "text", "drafts": "content"}


class Interview:
    """The service with its database file."""

    def __init__(self, processes: Processes, folder: Path, journal: str) -> None:
        """Keep everything in this folder."""
        self.file = folder / "interview.db"
        self._processes, self._folder, self._journal = processes, folder, journal

    def fill(self, *, full: bool) -> None:
        """Write a history to the file."""
        messages = MESSAGES_IN_FULL if full else MESSAGES
        command = [sys.executable, EXAMPLE / "history.py", "--db", self.file, "--messages", str(messages)]
        subprocess.run(command, check=True, capture_output=True)

    def serve_sqlite(self) -> Service:
        """Start the service on the file."""
        return self._serve(self._on_sqlite())

    def serve_postgres(self, database: Database) -> Service:
        """Start the service on PostgreSQL."""
        return self._serve(environment_of(EXAMPLE, DB_PROVIDER="postgres", **database.environment()))

    def _on_sqlite(self) -> dict[str, str]:
        settings = {"DB_PROVIDER": "sqlite", "SQLITE_PATH": str(self.file), "SQLITE_JOURNAL_MODE": self._journal}
        return environment_of(EXAMPLE, **settings)

    def _serve(self, environment: dict[str, str]) -> Service:
        command = (sys.executable, EXAMPLE / "service.py", "--port", "0")
        return Service(self._processes.start(*command, environment=environment))

    def supervise(self, database: Database) -> Supervised:
        """Start the service on the file, by its supervisor; its settings name the database it may move to."""
        settings = self._on_sqlite() | database.environment()
        return Supervised(self._processes, [sys.executable, EXAMPLE / "supervise.py"], self._folder, settings)

    def settings(self) -> str:
        """Return the example's `cdcsync.toml` for a directory beside the file's, its hooks for this deployment."""
        text = (EXAMPLE / "cdcsync.toml").read_text().replace('"interview.db"', '"../interview.db"')
        return re.sub(r'"python (\w+\.py)(.*)"', rf"""'"{sys.executable}" "{EXAMPLE}/\1"\2 --env-file ../.env'""", text)

    def load(self, url: str) -> LoadOf:
        """Start the load generator."""
        return LoadOf(self._processes, [sys.executable, EXAMPLE / "load.py"], self._folder, url)

    @staticmethod
    def assert_stored(acknowledged: list[dict[str, Any]], rows: Callable[[str], list[tuple[Any, ...]]]) -> None:
        """Every write the service acknowledged is there, with the text it had."""
        stored = {table: dict(rows(f"SELECT CAST(id AS TEXT), {text} FROM {table}")) for table, text in TEXT_OF.items()}
        lost = [row for row in acknowledged if stored[row["table"]].get(str(row["id"])) != row[TEXT_OF[row["table"]]]]
        assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged writes are missing, such as {lost[:3]}"

    def paths(self) -> list[str]:
        """Return a path of every GET endpoint for the oldest and the newest sessions, and for one that is unknown."""
        query = "SELECT id FROM sessions ORDER BY created_at {} LIMIT ?"
        with closing(sqlite3.connect(self.file)) as db:
            rows = [row for order in ("", "DESC") for row in db.execute(query.format(order), (SESSIONS_ASKED // 2,))]
        idents = [*dict.fromkeys(ident for (ident,) in rows), "00000000-0000-4000-8000-000000000000"]
        return [f"/interview/{what}/{ident}" for what in ("session", "draft/latest") for ident in idents]

    def highest_ids(self) -> dict[str, int]:
        """Return the highest ids there are."""
        with closing(sqlite3.connect(self.file)) as db:
            return {name: db.execute(f"SELECT max(id) FROM {name}").fetchone()[0] for name in ("messages", "drafts")}
