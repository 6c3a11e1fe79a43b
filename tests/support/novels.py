"""The novels service, a Node application: started, filled, put under load, and asked what it has stored."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.processes import clean_environment
from support.services import LoadOf, Service, Supervised, environment_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.postgres import Database
    from support.processes import Processes

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


class Novels:
    """The service with its database file."""

    def __init__(self, processes: Processes, code: Path, folder: Path, journal: str) -> None:
        """Run `code`, keep data in `folder`."""
        self.file = folder / "novels.db"
        self._processes, self._code, self._folder, self._journal = processes, code, folder, journal

    def fill(self, *, full: bool) -> None:
        """Write a history to the file."""
        chapters, paragraphs = SIZE_IN_FULL if full else SIZE
        size = ("--chapters", chapters, "--paragraphs", paragraphs)
        subprocess.run(["node", self._code / "history.js", "--db", self.file, *size], check=True, capture_output=True)

    def serve_sqlite(self) -> Service:
        """Start the service on the file."""
        return self._serve(self._on_sqlite())

    def serve_postgres(self, database: Database) -> Service:
        """Start the service on PostgreSQL."""
        return self._serve(environment_of(EXAMPLE, DB_PROVIDER="postgres", **database.environment()))

    def _on_sqlite(self) -> dict[str, str]:
        settings = {"DB_PROVIDER": "sqlite", "SQLITE_PATH": str(self.file), "SQLITE_JOURNAL_MODE": self._journal}
        return environment_of(EXAMPLE, **settings)

    def _serve(self, settings: dict[str, str]) -> Service:
        command = ("node", self._code / "service.js", "--port", "0")
        return Service(self._processes.start(*command, environment=clean_environment(**settings)))

    def supervise(self, database: Database) -> Supervised:
        """Start the service on the file, by its supervisor; its settings name the database it may move to."""
        settings = self._on_sqlite() | database.environment()
        return Supervised(self._processes, ["node", self._code / "supervise.js"], self._folder, settings)

    def settings(self) -> str:
        """Return the example's `cdcsync.toml` for a directory beside the file's, its hooks for this deployment."""
        text = (EXAMPLE / "cdcsync.toml").read_text().replace('"novels.db"', '"../novels.db"')
        return re.sub(r'"node (\w+\.js)(.*)"', rf"""'node "{self._code}/\1"\2 --env-file ../.env'""", text)

    def load(self, url: str) -> LoadOf:
        """Start the load generator."""
        return LoadOf(self._processes, ["node", self._code / "load.js"], self._folder, url)

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
