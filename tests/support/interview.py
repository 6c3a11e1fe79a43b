"""The interview service: started, filled, put under load, and asked what it has stored."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.example import Example

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.processes import Processes

EXAMPLE = Path(__file__).parents[2] / "examples" / "interview"
MESSAGES, MESSAGES_IN_FULL = 2_000, 200_000
SESSIONS_ASKED = 200
TEXT_OF = {"sessions": "summary", "messages": "text", "drafts": "content"}


class Interview(Example):
    """The service with its database file."""

    name, interpreter, suffix = "interview", sys.executable, ".py"

    def __init__(self, processes: Processes, folder: Path, journal: str) -> None:
        """Keep data in this folder."""
        super().__init__(processes, EXAMPLE, folder, journal)

    def fill(self, *, full: bool) -> None:
        """Write a history to the file."""
        messages = MESSAGES_IN_FULL if full else MESSAGES
        command = [*self.program("history"), "--db", self.file, "--messages", str(messages)]
        subprocess.run(command, check=True, capture_output=True)

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
