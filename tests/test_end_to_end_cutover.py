"""Both example services move by cutover while their clients write, go back, and move again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from support import node
from support.interview import Interview
from support.novels import EXAMPLE, Novels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cli import Cli
    from support.postgres import Database
    from support.processes import Processes
    from support.services import LoadOf, Supervised

Ledger = list[dict[str, Any]]
# The services wait 5 s for a lock.
MAX_PAUSE = "4"
NOT_FOUND = ("http_404", "404 not found")


class Moving:
    """An example under load, its supervised service, and the verbs that move it."""

    def __init__(self, app: Interview | Novels, cli: Cli, database: Database, *, full: bool) -> None:
        """Start it on SQLite, with clients, and follow it."""
        self.app, self.cli, self.database = app, cli, database
        (cli.cwd / "cdcsync.toml").write_text(app.settings())
        app.fill(full=full)
        self.service: Supervised = app.supervise(database)
        self.load: LoadOf = app.load(self.service.url)
        cli("install")

    def follow(self) -> None:
        """Run the daemon and prove the tables equal."""
        self.daemon = self.cli.daemon()
        self.load.wait_for_writes()
        assert self.cli("verify", "--json", seconds=1200).json["equal"]

    def cut_over(self) -> dict[str, Any]:
        """Move to PostgreSQL; clients go on there, the daemon ends by itself."""
        report: dict[str, Any] = self.cli("cutover", "--max-pause", MAX_PAUSE, "--json").json
        assert report["done"], report
        assert self.daemon.wait() == 0, self.daemon.err
        assert all(rows["source"] == rows["target"] for rows in report["row_counts"].values())
        self.load.wait_for_writes()
        return report

    def before(self, moment: datetime) -> Ledger:
        """Return what was acknowledged before a moment."""
        return [entry for entry in self.load.acknowledged() if _at(entry) < moment]

    def after(self, moment: datetime) -> Ledger:
        """Return what was acknowledged after a moment."""
        return [entry for entry in self.load.acknowledged() if _at(entry) > moment]

    def in_sqlite(self, query: str) -> list[tuple[Any, ...]]:
        """Return rows of the source."""
        with closing(sqlite3.connect(self.app.file)) as db:
            return db.execute(query).fetchall()

    def pause(self) -> None:
        """Stop the writes, so that what was acknowledged can be looked for."""
        assert self.service.post("/admin/pause") == (200, {"paused": True})
        self.load.settle()


def _at(entry: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["acked_at"] if "acked_at" in entry else entry["at"])


@pytest.fixture
def moving(
    request: pytest.FixtureRequest, processes: Processes, tmp_path: Path, cli: Cli, database: Database, *, full: bool
) -> Iterator[Moving]:
    """The example that the test names, with its journal mode."""
    name, journal = request.param
    if name == "interview":
        app: Interview | Novels = Interview(processes, tmp_path, journal)
    else:
        kept = request.config.rootpath / ".pytest_cache" / "d" / "novels"
        app = Novels(processes, node.prepare(EXAMPLE, kept, tmp_path / "code"), tmp_path, journal)
    made = Moving(app, cli, database, full=full)
    yield made
    # Not killed: its service would live on.
    made.service.stop()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "moving",
    [("interview", "WAL"), ("novels", "WAL"), ("novels", "DELETE")],
    indirect=True,
    ids=["interview", "novels", "novels with a rollback journal"],
)
def test_service_moves_under_load_goes_back_and_moves_again(moving: Moving) -> None:
    """Every write acknowledged before, during and after is where it belongs; only what was given up is gone."""
    moving.follow()
    report = moving.cut_over()
    print(f"pause {report['pause_seconds']} s, switch {report['switch_seconds']} s")  # noqa: T201  a figure to publish
    on_postgres = moving.service.started_at
    refused = moving.cli("rollback", "--json", expect=1).json
    assert refused["target_writes"]
    moving.load.wait_for_writes()
    moving.pause()
    moving.app.assert_stored(moving.load.acknowledged(), moving.database.rows)

    assert moving.cli("rollback", "--discard-target-writes", "--json").json["done"]
    on_sqlite = moving.service.started_at
    moving.follow()
    moving.pause()
    kept = moving.before(on_postgres) + moving.after(on_sqlite)
    assert len(kept) < len(moving.load.acknowledged())
    moving.app.assert_stored(kept, moving.in_sqlite)
    moving.service.post("/admin/resume")

    moving.cut_over()
    summary = moving.load.stop()
    # Clients still knew some of the rows that were given up; nothing else ever failed.
    assert summary["failed"] == sum(summary["errors"].get(kind, 0) for kind in NOT_FOUND), summary
    kept = moving.before(on_postgres) + moving.after(on_sqlite)
    moving.app.assert_stored(kept, moving.database.rows)


@pytest.mark.parametrize("moving", [("interview", "WAL")], indirect=True, ids=["interview"])
def test_service_whose_smoke_test_fails_is_back_on_sqlite_with_every_write(moving: Moving) -> None:
    """Nobody had written to PostgreSQL: the cutover goes back by itself, and clients only waited."""
    settings = moving.cli.cwd / "cdcsync.toml"
    moving.follow()
    lines = [line for line in settings.read_text().splitlines() if not line.startswith("smoke_test")]
    lines.insert(lines.index(next(line for line in lines if line.startswith("[hooks]"))) + 1, "smoke_test = 'exit 3'")
    settings.write_text("\n".join(lines))
    failed = moving.cli("cutover", "--json", expect=1).json
    assert "hook smoke_test failed with exit code 3" in failed["reason"]
    assert "back on SQLite" in failed["reason"]
    assert moving.service.get("/health")[1]["provider"] == "sqlite"
    moving.load.wait_for_writes()
    moving.pause()
    assert moving.load.stop()["failed"] <= 8
    moving.app.assert_stored(moving.load.acknowledged(), moving.in_sqlite)
    assert moving.cli("drain", "--json", "--quiet-seconds", "0.2").json["drained"]
    moving.app.assert_stored(moving.load.acknowledged(), moving.database.rows)
