"""Fill a database with a history: `python history.py --db FILE --messages N`."""

import argparse
import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final
from uuid import UUID

SCHEMA: Final = Path(__file__).with_name("schema.sql")
MESSAGES_A_SESSION: Final = 20
MESSAGES_A_DRAFT: Final = 10
SESSIONS_A_BATCH: Final = 500
FIRST_DAY: Final = datetime(2025, 1, 6, 8, 0, tzinfo=UTC)
SENTENCES: Final = (
    "I joined the team when there were only three of us.",
    "We rewrote the billing service over one long winter.",
    "Nobody had told the customers, and that was the real mistake.",
    'She said "ship it", so we did.',
    "It's the customer's data, not ours.",
    "Der Grundriss stammt von meiner Großmutter — schön, aber unpraktisch.",
    "À l'époque, on déployait le vendredi soir…",
    "面接では失敗談を聞かれました。",
    "Это был мой первый крупный проект.",
    "That felt like a win 🎉🚀",
    "The path was C:\\data\\new\\table, of course.",
    "First we measured,\nthen we changed one thing,\nthen we measured again.",
    "name\trole\tyears\nAda\tlead\t7",
    "100% of it came down to one missing index; DROP TABLE jokes aside.",
    "Could you repeat the question?",
    "What happened next?",
)


@dataclass
class Batch:
    """Rows of the three tables that are written together."""

    sessions: list[tuple[str, str, str, str]] = field(default_factory=list)
    messages: list[tuple[str, str, str, str]] = field(default_factory=list)
    drafts: list[tuple[str, str, str]] = field(default_factory=list)


class History:
    """Makes the same sessions for the same seed."""

    def __init__(self, messages: int, seed: int) -> None:
        """Prepare to make a number of messages."""
        self._messages = messages
        self._random = Random(seed)  # noqa: S311 - sample data, no secrets

    def batches(self) -> Iterator[Batch]:
        """Make the history, oldest first."""
        starts = iter(range(0, self._messages, MESSAGES_A_SESSION))
        while some := list(islice(starts, SESSIONS_A_BATCH)):
            batch = Batch()
            for start in some:
                self._add_session(batch, start)
            yield batch

    def _add_session(self, batch: Batch, start: int) -> None:
        ident = str(UUID(int=self._random.getrandbits(128), version=4))
        began = FIRST_DAY + timedelta(seconds=start, microseconds=start * 7919 % 10**6)
        count = min(MESSAGES_A_SESSION, self._messages - start)
        times = [self._written(began + timedelta(seconds=31 * turn), start) for turn in range(count)]
        texts = [self._text() for _ in range(count)]
        batch.sessions.append((ident, times[0], times[-1], texts[0][:60]))
        batch.messages.extend(
            (ident, "assistant" if turn % 2 else "user", text, when)
            for turn, (text, when) in enumerate(zip(texts, times, strict=True))
        )
        for end in range(MESSAGES_A_DRAFT, count + 1, MESSAGES_A_DRAFT):
            content = "\n\n".join(texts[end - 4 : end : 2])
            batch.drafts.append((ident, content, times[end - 1]))

    def _text(self) -> str:
        size = self._random.choice((1, 1, 2, 2, 3, 4, 5, 8))
        return " ".join(self._random.choices(SENTENCES, k=size))

    def _written(self, moment: datetime, start: int) -> str:
        """Write a time as the release of its day did: early ones had no zone."""
        text = moment.isoformat(timespec="microseconds")
        age = start * 10 // self._messages
        if age == 0:
            return text.removesuffix("+00:00")
        return text.replace("+00:00", "Z") if age == 1 else text


def fill(path: str, messages: int, seed: int = 1) -> dict[str, int]:
    """Write a history to a database file; return the number of rows by table."""
    counts = {"sessions": 0, "messages": 0, "drafts": 0}
    conn = sqlite3.connect(path, timeout=5, isolation_level=None)
    try:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("PRAGMA synchronous = NORMAL")
        conn.execute("PRAGMA foreign_keys = ON")
        conn.executescript(SCHEMA.read_text(encoding="utf-8"))
        for batch in History(messages, seed).batches():
            _write(conn, batch)
            counts["sessions"] += len(batch.sessions)
            counts["messages"] += len(batch.messages)
            counts["drafts"] += len(batch.drafts)
    finally:
        conn.close()
    return counts


def _write(conn: sqlite3.Connection, batch: Batch) -> None:
    with conn:
        conn.execute("BEGIN IMMEDIATE")
        conn.executemany(
            "INSERT INTO sessions (id, created_at, updated_at, summary) VALUES (?, ?, ?, ?)",
            batch.sessions,
        )
        conn.executemany(
            "INSERT INTO messages (session_id, role, text, created_at) VALUES (?, ?, ?, ?)",
            batch.messages,
        )
        conn.executemany(
            "INSERT INTO drafts (session_id, content, created_at) VALUES (?, ?, ?)",
            batch.drafts,
        )


def main() -> int:
    """Fill the database named on the command line."""
    parser = argparse.ArgumentParser(description="Fill a database with a history.")
    parser.add_argument("--db", required=True, help="SQLite file, made if missing")
    parser.add_argument("--messages", required=True, type=int)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    try:
        counts = fill(options.db, options.messages, options.seed)
    except sqlite3.Error as error:
        print(f"history: {options.db}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(counts | {"seconds": round(time.monotonic() - began, 2)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
