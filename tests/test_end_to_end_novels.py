"""The novels service, a Node application, moves to PostgreSQL while it is being written to."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import node
from support.compare import assert_same
from support.processes import clean_environment
from support.services import LoadOf, Service, environment_of
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.cli import Cli
    from support.postgres import Database
    from support.processes import Processes

EXAMPLE = Path(__file__).parents[1] / "examples" / "novels"
SIZE, SIZE_IN_FULL = ("16", "4000"), ("1600", "400000")
STREAMING_SECONDS = 2.0
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
# What the ledger of acknowledged writes says of each kind of row, and how it lies in PostgreSQL.
STORED = {
    "novel": "SELECT ARRAY[id], title FROM novels",
    "reading": "SELECT ARRAY[novel_id, reader], ARRAY[chapter_id, position::text] FROM progress",
    "generation": """
        SELECT ARRAY[chapter_id, stage], ARRAY[status, completed::text, total::text] FROM generation_progress
    """,
    "paragraphs": "SELECT ARRAY[id], text FROM paragraphs",
    "audio": "SELECT ARRAY[paragraph_id, voice], file_id FROM audio_cache",
}
Row = tuple[str, tuple[str, ...]]


class Novels:
    """The service with its database file."""

    def __init__(self, processes: Processes, code: Path, folder: Path, journal: str) -> None:
        """Run `code`, keep data in `folder`."""
        self.file = folder / "novels.db"
        self._processes, self._code, self._folder, self._journal = processes, code, folder, journal

    def fill(self, chapters: str, paragraphs: str) -> None:
        """Write a history to the file."""
        size = ("--chapters", chapters, "--paragraphs", paragraphs)
        subprocess.run(["node", self._code / "history.js", "--db", self.file, *size], check=True, capture_output=True)

    def serve_sqlite(self) -> Service:
        """Start the service on the file."""
        settings = {"DB_PROVIDER": "sqlite", "SQLITE_PATH": str(self.file), "SQLITE_JOURNAL_MODE": self._journal}
        return self._serve(environment_of(EXAMPLE, **settings))

    def serve_postgres(self, database: Database) -> Service:
        """Start the service on PostgreSQL."""
        return self._serve(environment_of(EXAMPLE, DB_PROVIDER="postgres", **database.environment()))

    def _serve(self, settings: dict[str, str]) -> Service:
        command = ("node", self._code / "service.js", "--port", "0")
        return Service(self._processes.start(*command, environment=clean_environment(**settings)))

    def load(self, service: Service) -> LoadOf:
        """Start the load generator."""
        return LoadOf(self._processes, ["node", self._code / "load.js"], self._folder, service.url)

    def paths(self) -> list[str]:
        """Return paths of every GET endpoint, for rows there are and for some there are not."""
        found = ["/health", "/api/novels", "/api/novels/nobody", "/api/chapters/nobody", "/api/paragraphs/nobody/audio"]
        with closing(sqlite3.connect(self.file)) as db:
            for pattern, query in ENDPOINTS.items():
                ordered = (f"{query} ORDER BY 1 {order} LIMIT {ROWS_ASKED}" for order in ("", "DESC"))
                found += [pattern.format(*row) for part in ordered for row in db.execute(part)]
        return list(dict.fromkeys(found))


@pytest.fixture(scope="session")
def code(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its npm packages."""
    folder = tmp_path_factory.mktemp("novels")
    kept = request.config.rootpath / ".pytest_cache" / "d" / "novels"
    return node.prepare(EXAMPLE, kept, folder / "code")


@pytest.fixture
def novels(request: pytest.FixtureRequest, code: Path, processes: Processes, tmp_path: Path, cli: Cli) -> Novels:
    """The service, with its mapping where the commands find it."""
    settings = (EXAMPLE / "cdcsync.toml").read_text().replace('"novels.db"', '"../novels.db"')
    (cli.cwd / "cdcsync.toml").write_text(settings)
    return Novels(processes, code, tmp_path, request.param)


def _written(entry: dict[str, Any]) -> Iterator[tuple[Row, object]]:
    """Name the rows one acknowledged write left, with what they hold."""
    kind, body = entry["kind"], entry.get("body") or {}
    parts = [part for part in re.split("/", entry["path"]) if part]
    if kind == "novel":
        yield (kind, (entry["novel"],)), body["title"]
    elif kind == "reading":
        yield (kind, (parts[2], parts[4])), [body["chapter_id"], str(body["position"])]
    elif kind == "generation":
        yield (kind, (parts[2], body["stage"])), [body["status"], str(body["completed"]), str(body["total"])]
    elif kind == "audio":
        yield (kind, (parts[2], body["voice"])), body["file_id"]
    elif kind == "paragraphs":
        for paragraph in body["paragraphs"]:
            yield (kind, (paragraph["id"],)), paragraph["text"]


def _assert_in_postgres(acknowledged: list[dict[str, Any]], database: Database) -> None:
    """The last acknowledged write of every row is what PostgreSQL holds; deleted novels are gone with all they had."""
    expected: dict[Row, tuple[str, object]] = {}
    deleted: set[str] = set()
    for entry in acknowledged:
        if entry["kind"] == "delete":
            deleted.add(entry["novel"])
            expected = {row: value for row, value in expected.items() if value[0] != entry["novel"]}
        expected |= {row: (entry["novel"], value) for row, value in _written(entry)}
    stored = {kind: {tuple(key): value for key, value in database.rows(query)} for kind, query in STORED.items()}
    lost = [(kind, key, value) for (kind, key), (_, value) in expected.items() if stored[kind].get(key) != value]
    assert not lost, f"{len(lost)} acknowledged rows are not in PostgreSQL as they should be, such as {lost[:3]}"
    assert not {(novel,) for novel in deleted} & stored["novel"].keys()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("novels", "database"),
    [("WAL", "wheel"), ("DELETE", "debian")],
    indirect=True,
    ids=["wal", "rollback journal to Debian's PostgreSQL"],
)
def test_novels_move_under_load_without_losing_a_write(
    novels: Novels, cli: Cli, database: Database, *, full: bool
) -> None:
    """Under 200 writes a second every acknowledged write arrives, and clients see the same answers before and after."""
    novels.fill(*(SIZE_IN_FULL if full else SIZE))
    old = novels.serve_sqlite()
    load = novels.load(old)
    wait_until(load.acknowledged, "the load begins")
    cli("install")
    daemon = cli.daemon()
    time.sleep(STREAMING_SECONDS)

    assert old.post("/admin/pause") == (200, {"paused": True})
    paths = [path for path in novels.paths() if path != "/health"]
    before = old.get_all(paths)
    verified = cli("verify", "--json", seconds=1200).json
    assert verified["equal"], verified["differences"][:5]
    drained = cli("drain", "--handover", "--json").json
    assert drained["handed_over"]
    assert drained["new_changes"] == 0
    assert daemon.wait() == 0
    counts = assert_same(novels.file, database)
    assert sum(counts.values()) == verified["rows_compared"]
    acknowledged = load.acknowledged()
    assert len(acknowledged) > STREAMING_SECONDS * 100
    _assert_in_postgres(acknowledged, database)

    highest = database.value("SELECT max(id) FROM audio_cache")
    new = novels.serve_postgres(database)
    assert new.get_all(paths) == before
    load.follow(new.url)
    old.stop()
    wait_until(lambda: len(load.acknowledged()) > len(acknowledged) + 100, "clients go on on PostgreSQL")
    summary = load.stop()
    new.stop()
    assert summary["failed"] == 0, summary
    _assert_in_postgres(load.acknowledged(), database)
    assert database.value("SELECT count(*) FROM audio_cache WHERE id > %s", highest) > 0
