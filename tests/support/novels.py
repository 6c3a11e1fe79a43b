"""The novels service, a Node application: started, filled, put under load, and asked what it has stored."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.example import Example

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLE = Path(__file__).parents[2] / "examples" / "novels"
SIZE, SIZE_IN_FULL = ("16", "4000"), ("1600", "400000")
# A GET endpoint, and the rows to ask it for: oldest and newest.
ENDPOINTS = {
    "/api/novels/{}": "SELECT id FROM novels",
    "/api/novels/{}/chapters": "SELECT id FROM novels",
    "/api/chapters/{}": "SELECT id FROM chapters",
    "/api/chapters/{}/progress": "SELECT id FROM chapters",
    "/api/novels/{}/progress/{}": "SELECT novel_id, reader FROM progress",
    "/api/paragraphs/{}/audio": "SELECT paragraph_id FROM audio_cache",
}
ROWS_ASKED = 30
# What the ledger says of each kind of row: how many columns are its key, and how it lies in both databases.
STORED = {
    "novel": (1, "SELECT id, title FROM novels"),
    "reading": (2, "SELECT novel_id, reader, chapter_id, CAST(position AS TEXT) FROM progress"),
    "generation": (
        2,
        """
        SELECT chapter_id, stage, status, CAST(completed AS TEXT), CAST(total AS TEXT) FROM generation_progress
        """,
    ),
    "paragraphs": (1, "SELECT id, text FROM paragraphs"),
    "audio": (2, "SELECT paragraph_id, voice, file_id FROM audio_cache"),
}
Row = tuple[str, tuple[str, ...]]


class Novels(Example):
    """The service with its database file."""

    name, interpreter, suffix = "novels", "node", ".js"

    def fill(self, *, full: bool) -> None:
        """Write a history to the file."""
        chapters, paragraphs = SIZE_IN_FULL if full else SIZE
        size = ("--chapters", chapters, "--paragraphs", paragraphs)
        subprocess.run([*self.program("history"), "--db", self.file, *size], check=True, capture_output=True)

    @staticmethod
    def assert_stored(acknowledged: list[dict[str, Any]], rows: Callable[[str], list[tuple[Any, ...]]]) -> None:
        """The last acknowledged write of every row is there; deleted novels are gone with all they had."""
        expected: dict[Row, tuple[str, tuple[str, ...]]] = {}
        deleted: set[str] = set()
        for entry in acknowledged:
            if entry["kind"] == "delete":
                deleted.add(entry["novel"])
                expected = {row: value for row, value in expected.items() if value[0] != entry["novel"]}
            expected |= {row: (entry["novel"], value) for row, value in _written(entry)}
        stored = {
            kind: {tuple(row[:keys]): tuple(row[keys:]) for row in rows(query)}
            for kind, (keys, query) in STORED.items()
        }
        lost = [(kind, key, value) for (kind, key), (_, value) in expected.items() if stored[kind].get(key) != value]
        assert not lost, f"{len(lost)} of {len(expected)} acknowledged rows are not as they should be: {lost[:3]}"
        assert not {(novel,) for novel in deleted} & stored["novel"].keys()

    def paths(self) -> list[str]:
        """Return paths of every GET endpoint, for rows there are and for some there are not."""
        found = ["/health", "/api/novels", "/api/novels/nobody", "/api/chapters/nobody", "/api/paragraphs/nobody/audio"]
        with closing(sqlite3.connect(self.file)) as db:
            for pattern, query in ENDPOINTS.items():
                ordered = (f"{query} ORDER BY 1 {order} LIMIT {ROWS_ASKED}" for order in ("", "DESC"))
                found += [pattern.format(*row) for part in ordered for row in db.execute(part)]
        return list(dict.fromkeys(found))


def _written(entry: dict[str, Any]) -> Iterator[tuple[Row, tuple[str, ...]]]:
    """Name the rows one acknowledged write left, with what they hold."""
    kind, body = entry["kind"], entry.get("body") or {}
    parts = [part for part in re.split("/", entry["path"]) if part]
    if kind == "novel":
        yield (kind, (entry["novel"],)), (body["title"],)
    elif kind == "reading":
        yield (kind, (parts[2], parts[4])), (body["chapter_id"], str(body["position"]))
    elif kind == "generation":
        yield (kind, (parts[2], body["stage"])), (body["status"], str(body["completed"]), str(body["total"]))
    elif kind == "audio":
        yield (kind, (parts[2], body["voice"])), (body["file_id"],)
    elif kind == "paragraphs":
        for paragraph in body["paragraphs"]:
            yield (kind, (paragraph["id"],)), (paragraph["text"],)
