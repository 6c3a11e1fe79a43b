"""The ledger of acknowledged writes: followed while it grows, and looked for in PostgreSQL at the end."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg

from cdcsync.edges.source import connect

RATE_SECONDS = 3.0
KEYS_A_QUERY = 2000
# The service's own tables: what is stored under an id, in the ledger's words.
STORED = {
    "sessions": "SELECT id::text, id::text, 'session', summary FROM sessions WHERE id = ANY(%s::uuid[])",
    "messages": "SELECT id, session_id::text, role, text FROM messages WHERE id = ANY(%s)",
    "drafts": "SELECT id, session_id::text, 'draft', content FROM drafts WHERE id = ANY(%s)",
}
BOUNDARY = "SELECT max(id), count(*) FROM messages"
UP_TO_BOUNDARY = "SELECT count(*) FROM messages WHERE id <= %s"
ROWS = "SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM messages) + (SELECT count(*) FROM drafts)"

Entry = dict[str, Any]
Stored = tuple[str, str, str | None]
Fetch = Callable[[str, list[Any]], dict[Any, Stored]]
"""Given a table and ids, what is stored under each: session, role (or kind), text."""


class Tail:
    """Reads what was added to a ledger since the last look, and keeps the rate."""

    def __init__(self, path: Path) -> None:
        """Begin at the start of the file, which need not exist yet."""
        self._path, self._offset, self._rest = path, 0, b""
        self._looks: deque[tuple[float, int]] = deque()
        self.count = 0

    def new(self) -> list[Entry]:
        """Return the entries written since the last look."""
        if self._path.exists():
            with self._path.open("rb") as ledger:
                ledger.seek(self._offset)
                added = ledger.read()
        else:
            added = b""
        self._offset += len(added)
        *lines, self._rest = (self._rest + added).split(b"\n")
        self.count += len(lines)
        now = time.monotonic()
        self._looks.append((now, self.count))
        while now - self._looks[0][0] > RATE_SECONDS:
            self._looks.popleft()
        return [json.loads(line) for line in lines]

    @property
    def rate(self) -> float:
        """Entries a second, of late."""
        (began, before), (now, count) = self._looks[0], self._looks[-1]
        return (count - before) / (now - began) if now > began else 0.0


@dataclass(slots=True)
class Proof:
    """What the end of the demo rests on; `faults` are lines, none if all is well."""

    rows: int = 0
    acknowledged: int = 0
    found: int = 0
    faults: list[str] = field(default_factory=list)


def prove(ledgers: Iterable[Path], source: Path, target: psycopg.Connection[Any], switched_at: str) -> Proof:
    """Look for every acknowledged write in PostgreSQL, and see that ids went on where SQLite's ended.

    `source` is the SQLite file, which is at rest since the switch at `switched_at` (ISO-8601 in UTC).
    """
    entries = [entry for path in ledgers for entry in Tail(path).new()]

    def fetch(table: str, ids: list[Any]) -> dict[Any, Stored]:
        return {row[0]: (row[1], row[2], row[3]) for row in target.execute(STORED[table], [ids]).fetchall()}

    lost = list(missing(entries, fetch))
    proof = Proof(acknowledged=len(entries), found=len(entries) - len(lost))
    proof.faults += [f"missing in PostgreSQL: {_told(entry)}" for entry in lost]
    with closing(connect(source, mode="ro")) as connection:
        boundary, count = connection.execute(BOUNDARY).fetchone()
    proof.faults += discontinuities(entries, boundary, switched_at)
    arrived = _number(target, UP_TO_BOUNDARY, [boundary])
    if arrived != count:
        proof.faults.append(f"SQLite holds {count} messages, PostgreSQL {arrived} of them")
    proof.rows = _number(target, ROWS, [])
    return proof


def missing(entries: Iterable[Entry], fetch: Fetch) -> Iterator[Entry]:
    """Yield the entries that are not stored as they were acknowledged: id, session and text, a message's reply too."""
    for table in STORED:
        of_table = (entry for entry in entries if entry["table"] == table)
        while some := list(islice(of_table, KEYS_A_QUERY)):
            replies = [entry["reply_id"] for entry in some if table == "messages"]
            stored = fetch(table, [entry["id"] for entry in some] + replies)
            yield from (entry for entry in some if not _is_stored(entry, stored))


def discontinuities(entries: Iterable[Entry], boundary: int, switched_at: str) -> Iterator[str]:
    """Yield what is wrong with the ids of messages: given twice, or on the wrong side of SQLite's last one."""
    uses: Counter[int] = Counter()
    for entry in entries:
        if entry["table"] != "messages":
            continue
        uses.update((entry["id"], entry["reply_id"]))
        after = entry["acked_at"] > switched_at
        if after != (entry["id"] > boundary) or after != (entry["reply_id"] > boundary):
            when = "after" if after else "before"
            yield f"message {entry['id']} was acknowledged {when} the switch, but SQLite's last id is {boundary}"
    yield from (f"id {ident} was given to {count} messages" for ident, count in uses.items() if count > 1)


def _is_stored(entry: Entry, stored: dict[Any, Stored]) -> bool:
    found, session = stored.get(entry["id"]), entry["session_id"]
    if entry["table"] == "sessions":
        return found == (session, "session", entry["summary"])
    if entry["table"] == "drafts":
        return found == (session, "draft", entry["content"])
    reply = stored.get(entry["reply_id"])
    return found == (session, "user", entry["text"]) and reply is not None and reply[:2] == (session, "assistant")


def _told(entry: Entry) -> str:
    return f"{entry['table']}, id {entry['id']}, acknowledged {entry['acked_at']}"


def _number(target: psycopg.Connection[Any], query: str, parameters: list[Any]) -> int:
    row = target.execute(query, parameters).fetchone()
    return 0 if row is None else int(row[0])
