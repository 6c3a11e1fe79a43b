"""`check --measure`: what the triggers cost is tried out on copies, and the source does not notice."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import shop
from support.waiting import wait_until

from cdcsync.edges import scratch
from cdcsync.edges.sample import operations
from cdcsync.edges.scratch import Scratch, copies
from cdcsync.machine import measure as machine
from cdcsync.machine.context import Context, proposed_plans
from cdcsync.words.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.cli import Cli
    from support.processes import Running

    from cdcsync.machine.measure import Measurement
    from cdcsync.words.nouns import TablePlan

WRITES = {"delete", "insert", "update"}
EVERY_COST = {(write, *setting) for write in WRITES for setting in (("FULL", 1), ("NORMAL", 1), ("NORMAL", 100))}
KEY_ONLY = "nothing to change but the key"
ROWS = "WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g LIMIT 300) SELECT"

# Tables of 300 rows that can be tried.
MEASURED = {
    "WITHOUT ROWID": f"""
        CREATE TABLE t (a TEXT, b, v, PRIMARY KEY (a, b)) WITHOUT ROWID; INSERT INTO t {ROWS} n, n, n FROM g""",
    "no key": f"""
        CREATE TABLE t (a, b); INSERT INTO t {ROWS} n % 3, n FROM g""",
    "generated columns": f"""
        CREATE TABLE t (id INTEGER PRIMARY KEY, v, g AS (v * 2) STORED, h AS (v || 'x'));
        INSERT INTO t (id, v) {ROWS} n, n FROM g""",
    "STRICT": f"""
        CREATE TABLE t (id ANY PRIMARY KEY, v BLOB) STRICT; INSERT INTO t {ROWS} n, randomblob(9) FROM g""",
    "odd names": f"""
        CREATE TABLE "select ""x"" $t" ("a.b" PRIMARY KEY, "${{y}}" UNIQUE, "größe");
        INSERT INTO "select ""x"" $t" {ROWS} n, n, n FROM g""",
    "hidden rowid": f"""
        CREATE TABLE t (rowid TEXT, _rowid_, v UNIQUE); INSERT INTO t {ROWS} n, n, n FROM g""",
    "conflict clauses and checks of the schema": f"""
        CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, u NOT NULL UNIQUE ON CONFLICT REPLACE, a INT, b INT,
            c INT DEFAULT 7, CHECK (a < b));
        INSERT INTO t {ROWS} n, n, n, n + 1, n FROM g""",
    "partial unique index on an expression": f"""
        CREATE TABLE t (id INTEGER PRIMARY KEY, email TEXT, active INT);
        CREATE UNIQUE INDEX i ON t (lower(email)) WHERE active; INSERT INTO t {ROWS} n, 'A' || (n / 2), n % 2 FROM g""",
    KEY_ONLY: f"""
        CREATE TABLE t (a, b, PRIMARY KEY (a, b)); INSERT INTO t {ROWS} n, n FROM g""",
    "a foreign key with orphans": f"""
        CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY, p REFERENCES p, v);
        INSERT INTO t {ROWS} n, n, n FROM g""",
    "the application's own triggers": f"""
        CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t {ROWS} n, n FROM g;
        CREATE TRIGGER mine BEFORE INSERT ON t BEGIN SELECT unknown(); END""",
    "UTF-16": f"""
        PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (id TEXT PRIMARY KEY, v); INSERT INTO t {ROWS} n, n FROM g""",
    "NULL and other bytes beside good rows": f"""
        CREATE TABLE t (id TEXT PRIMARY KEY, v TEXT); INSERT INTO t VALUES (NULL, 'a'), ('b', CAST(x'ff' AS TEXT));
        INSERT INTO t {ROWS} n, n FROM g""",
}
REFUSED = {
    "CREATE TABLE t (id INTEGER PRIMARY KEY)": "empty: nothing to measure",
    f"""CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT COLLATE mine); CREATE INDEX i ON t (v);
        INSERT INTO t {ROWS} n, n FROM g""": "only the application registers (no such collation sequence: mine)",
    f"""CREATE TABLE t (id INTEGER PRIMARY KEY, v); CREATE INDEX i ON t (mine(v));
        INSERT INTO t {ROWS} n, n FROM g""": "only the application registers (no such function: mine)",
    f"""CREATE TABLE t (id INTEGER PRIMARY KEY, v CHECK (mine(v) > 0));
        INSERT INTO t {ROWS} n, n FROM g""": "only the application registers (no such function: mine)",
    f"CREATE TABLE t (id TEXT PRIMARY KEY, v); INSERT INTO t {ROWS} NULL, n FROM g": "NULL in its key",
    f"CREATE TABLE t (rowid, _rowid_, oid); INSERT INTO t {ROWS} n, n, n FROM g": "neither key nor rowid",
}


@pytest.fixture(name="quick")
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One turn of each side is enough where no figure is looked at."""
    monkeypatch.setattr(machine, "MOST_TURNS", 1)


def _make(path: Path, schema: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as application:
        application.create_collation("mine", lambda one, other: (one > other) - (one < other))
        application.create_function("mine", 1, lambda _value: 1, deterministic=True)
        application.executescript(schema)
    return path


def _measure(source: Path, seconds: float = 60, **settings: Any) -> Measurement:
    with Context(Settings(source=source, state_dir=source.parent / "state", **settings)) as context:
        return machine.measure(context, seconds, lambda _table, _turns: None)


def _plans(source: Path) -> dict[str, TablePlan]:
    with Context(Settings(source=source)) as context, context.open_source() as opened:
        return {plan.name: plan for plan in proposed_plans(opened, context.settings)[1]}


def _everything(folder: Path) -> dict[str, str]:
    """Hash every file but shared memory, in which readers register."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.usefixtures("quick")
def test_every_captured_table_is_measured_with_every_write(source: Path) -> None:
    """Tables with rows have a figure for each write and setting; an empty and a skipped one have none."""
    found = _measure(source, tables={"orders": {"skip": True}})
    costs = {(cost.table, cost.operation, cost.synchronous, cost.rows_per_transaction) for cost in found.measured}
    assert costs == {(table, *cost) for table in ("customers", "lines") for cost in EVERY_COST}
    assert found.not_measured == {"prices": "empty: nothing to measure"}
    assert found.same_file_system
    for cost in found.measured:
        assert 0 < cost.ratio_least <= cost.ratio <= cost.ratio_greatest
        # An entry holds a time of eight bytes, numbers, and a key of at most eleven characters.
        assert 15 < cost.extra_bytes_per_write < 60


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", MEASURED)
def test_tables_of_every_kind_are_measured(tmp_path: Path, kind: str) -> None:
    """Whatever SQLite admits in a table of its own can be tried out."""
    found = _measure(_make(tmp_path / "app.db", MEASURED[kind]))
    assert not {reason for reason in found.not_measured.values() if "empty" not in reason}
    assert {cost.operation for cost in found.measured} == WRITES - ({"update"} if kind == KEY_ONLY else set())
    assert {(cost.synchronous, cost.rows_per_transaction) for cost in found.measured} == {
        ("FULL", 1),
        ("NORMAL", 1),
        ("NORMAL", 100),
    }


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("schema", "reason"), REFUSED.items())
def test_a_table_that_cannot_be_tried_is_named_with_the_reason(tmp_path: Path, schema: str, reason: str) -> None:
    """The other tables are measured all the same."""
    other = f"CREATE TABLE other (id INTEGER PRIMARY KEY, v); INSERT INTO other {ROWS} n, n FROM g"
    found = _measure(_make(tmp_path / "app.db", f"{schema}; {other}"))
    assert list(found.not_measured) == ["t"]
    assert reason in found.not_measured["t"]
    assert {cost.table for cost in found.measured} == {"other"}


@pytest.mark.usefixtures("quick")
def test_the_largest_tables_come_first_and_the_rest_is_named_when_time_is_up(source: Path) -> None:
    """Which tables were not reached is said, with the way to reach them."""
    order = dict.fromkeys(cost.table for cost in _measure(source).measured)
    assert list(order) == ["lines", "orders", "customers"] or list(order) == ["lines", "customers", "orders"]
    late = _measure(source, seconds=0)
    assert late.measured == []
    assert all("--measure-seconds" in late.not_measured[table] for table in order)


def test_a_disk_without_room_is_left_alone(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application needs its disk more than we do: nothing is copied onto a nearly full one."""
    nearly_full = shutil.disk_usage(source)._replace(free=machine.ROOM - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: nearly_full)
    monkeypatch.setattr(machine, "copies", None)
    found = _measure(source)
    assert found.measured == []
    assert "256 MiB" in found.not_measured["customers"]


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_copy_is_as_the_source_but_for_triggers(tmp_path: Path, journal: str) -> None:
    """Format, journal, indexes and values are the source's; the one copy has no trigger, the other has only ours."""
    path = _make(
        tmp_path / "app.db",
        f"PRAGMA page_size = 8192; PRAGMA encoding = 'UTF-16be'; PRAGMA journal_mode = {journal};"
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE, v); CREATE INDEX i ON t (v DESC);"
        "CREATE TRIGGER mine AFTER INSERT ON t BEGIN SELECT 1; END;"
        f"INSERT INTO t {ROWS} n, n / 2.0, CASE n % 4 WHEN 0 THEN x'00' WHEN 1 THEN NULL WHEN 2 THEN 'é' END FROM g",
    )
    objects = (
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'index') AND name NOT LIKE '\\_cdcsync%' ESCAPE '\\'"
    )
    facts = (
        *("PRAGMA page_size", "PRAGMA encoding", "PRAGMA journal_mode", "PRAGMA integrity_check", objects),
        "SELECT id, typeof(u), u, typeof(v), v FROM t ORDER BY id",
    )
    with closing(sqlite3.connect(path)) as original, _copies(path, "t") as (plain, captured):
        for fact in facts:
            expected = original.execute(fact).fetchall()
            assert plain.connection.execute(fact).fetchall() == expected
            assert captured.connection.execute(fact).fetchall() == expected
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        assert plain.connection.execute(triggers).fetchall() == []
        names = [name for (name,) in captured.connection.execute(triggers)]
        assert names
        assert all(name.startswith("_cdcsync_") for name in names)


def _copies(source: Path, table: str) -> Any:
    plan = _plans(source)[table]
    with Context(Settings(source=source)) as context:
        return copies(context.open_source(), plan, source.parent, time.monotonic() + 60)


def test_an_installed_source_is_measured_against_a_copy_without_triggers(source: Path, cli: Cli) -> None:
    """What is installed already is not copied: the plain side stays plain."""
    cli("install")
    with _copies(source, "orders") as (plain, captured):
        ours = "SELECT count(*) FROM sqlite_master WHERE name LIKE '\\_cdcsync\\_%' ESCAPE '\\'"
        assert plain.connection.execute(ours).fetchone() == (0,)
        assert captured.connection.execute(ours).fetchone()[0] > 0
    measured = cli("check", "--measure", "--measure-seconds", "2", "--json").json["measured"]
    assert measured


@pytest.mark.parametrize("kind", MEASURED)
def test_every_write_changes_its_row_and_has_its_entry(tmp_path: Path, kind: str) -> None:
    """SQLite writes nothing where an update changes nothing: a ratio to that would be one to no work at all."""
    path = _make(tmp_path / "app.db", MEASURED[kind])
    table = next(name for name, plan in _plans(path).items() if name != "p")
    with _copies(path, table) as (plain, captured):
        for side in (plain, captured):
            side.synchronous("OFF")
        writes = operations(plain.connection, _plans(path)[table])
        states = []
        for _ in range(2):
            for write in writes:
                for side in (plain, captured):
                    side.write(write.statement, write.values[:200], 1)
                assert _rows(plain, table) == _rows(captured, table)
                states.append(_rows(plain, table))
        count = len(writes)
        assert states[:count] == states[count:], "a second turn finds other rows than the first"
        assert len(states[1] - states[0]) >= 100, "an insert brought nothing"
        if count > 2:
            assert len(states[2] - states[1]) == len(writes[2].values[:200]), "an update changed nothing"
        entries = captured.connection.execute("SELECT count(*) FROM _cdcsync_log").fetchone()[0]
        assert entries >= 2 * sum(len(write.values[:200]) for write in writes)


def _rows(side: Scratch, table: str) -> set[tuple[object, ...]]:
    side.connection.text_factory = bytes
    quoted = '"' + table.replace('"', '""') + '"'
    return set(side.connection.execute(f"SELECT * FROM {quoted}"))


def test_a_copy_is_bounded_in_rows_and_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the table, and however large its rows, only the first part of it is read."""
    many = ROWS.replace("300", "25000")
    path = _make(
        tmp_path / "app.db",
        f"CREATE TABLE many (id INTEGER PRIMARY KEY, v); INSERT INTO many {many} n, n FROM g;"
        f"CREATE TABLE large (id INTEGER PRIMARY KEY, v); INSERT INTO large {ROWS} n, zeroblob(100000) FROM g",
    )
    with _copies(path, "many") as (plain, _):
        assert plain.connection.execute("SELECT count(*), max(id) FROM many").fetchone() == (20_000, 20_000)
    monkeypatch.setattr(scratch, "MOST_BYTES", 2_000_000)
    monkeypatch.setattr(scratch, "PIECE_BYTES", 1_000_000)
    with _copies(path, "large") as (plain, _):
        assert 20 <= plain.connection.execute("SELECT count(*) FROM large").fetchone()[0] <= 31


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_nothing_is_changed_and_nothing_left_behind(source: Path, cli: Cli, tmp_path: Path, journal: str) -> None:
    """With changes waiting in the write-ahead log, no byte of the source and no file beside it is other than before."""
    source.unlink()
    shop.create(source, customers=30, journal=journal)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with closing(shop.open_as_application(source)) as application:
        application.execute("PRAGMA wal_autocheckpoint = 0")
        application.execute("UPDATE customers SET name = 'in the log'")
        before = _everything(tmp_path)
        done = cli("check", "--measure", "--measure-seconds", "3", environment={"TMPDIR": str(temporary)})
        assert _everything(tmp_path) == before
        assert list(temporary.iterdir()) == []
    assert "lines, insert" in done.out
    assert "with the triggers the time of a row's write becomes" in done.out


def test_the_answer_as_json(source: Path, cli: Cli) -> None:
    """The findings stay as they are; the costs stand beside them, only where asked for."""
    assert source.exists()
    without = cli("check", "--json").json
    answer = cli("check", "--measure", "--measure-seconds", "4", "--json").json
    assert {"measured", "not_measured", "measure_seconds"}.isdisjoint(without)
    assert {name: answer[name] for name in without} == without
    keys = {"table", "operation", "synchronous", "rows_per_transaction", "ratio", "extra_bytes_per_write"}
    assert answer["measured"]
    for cost in answer["measured"]:
        assert keys <= cost.keys()
        assert (cost["operation"], cost["synchronous"], cost["rows_per_transaction"]) in EVERY_COST
        assert isinstance(cost["ratio"], float)
    assert {"table": "prices", "reason": "empty: nothing to measure"} in answer["not_measured"]


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_writer_in_another_process_meets_no_error(
    source: Path, cli: Cli, start_writer: Callable[..., Running], journal: str
) -> None:
    """The application goes on writing while its tables are copied, in both journal modes."""
    source.unlink()
    shop.create(source, customers=3_000, journal=journal)
    writer = start_writer(rate=200)
    cli("check", "--measure", "--measure-seconds", "4")
    assert writer.terminate() == 0
    result = json.loads(writer.out.splitlines()[-1])
    assert result["errors"] == []
    assert result["commits"] > 100


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_no_read_is_held_while_copies_are_tried(source: Path, journal: str) -> None:
    """Between two turns an application that waits for nobody can commit, and empty its write-ahead log."""
    source.unlink()
    shop.create(source, journal=journal)
    turns: list[str] = []
    with closing(sqlite3.connect(source, timeout=0, isolation_level=None)) as application:

        def write(table: str, _turns: int) -> None:
            turns.append(table)
            application.execute("UPDATE customers SET credit = ?", [len(turns)])
            assert application.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0

        with Context(Settings(source=source, state_dir=source.parent)) as context:
            machine.measure(context, 60, write)
    assert set(turns) == {"customers", "orders", "lines"}


def test_an_interrupted_measurement_leaves_nothing_behind(source: Path, cli: Cli, tmp_path: Path) -> None:
    """SIGTERM in the middle of it removes the copies."""
    before = _everything(source.parent).get(str(source))
    measuring = cli.start("check", "--measure")

    def folders() -> list[Path]:
        assert measuring.is_running(), measuring.err
        return list(tmp_path.rglob("cdcsync-measure-*"))

    wait_until(lambda: bool(folders()), "copies")
    measuring.send(signal.SIGTERM)
    assert measuring.wait() == 143
    assert list(tmp_path.rglob("cdcsync-measure-*")) == []
    assert _everything(source.parent).get(str(source)) == before
