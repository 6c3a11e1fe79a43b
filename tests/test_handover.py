"""The handover happens whole or not at all; before and after it, every verb still says what is the case."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest
from support.processes import clean_environment

from cdcsync.edges.target import one_line
from cdcsync.machine import handover
from cdcsync.machine.context import Context
from cdcsync.machine.daemon import Daemon
from cdcsync.machine.install import uninstall
from cdcsync.machine.status import status
from cdcsync.words.errors import GaveUpError, PermanentStopError, TargetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.cli import Cli
    from support.pair import Pair

    from cdcsync.machine.session import Session

    Make = Callable[..., Pair]

FAMILY = """
CREATE TABLE p (id INTEGER PRIMARY KEY, u TEXT UNIQUE);
CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id) ON DELETE CASCADE, v TEXT);
INSERT INTO p VALUES (1, 'a'), (2, 'b'), (3, 'c');
INSERT INTO c VALUES (10, 1, 'x'), (20, 2, 'y'), (30, 3, 'z');
"""
FOREIGN_KEYS = "SELECT conname, convalidated FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text = 'c'"
# Killed where all is done but the COMMIT.
KILLED = """
import os, signal
from cdcsync.cli.main import main
from cdcsync.edges.checkpoint import CheckpointStore
CheckpointStore.cut_over = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main()
"""


def _goes_on_right(pair: Pair) -> None:
    """What enforced foreign keys would break: parents that swap a unique value, or go alone, and orphans."""
    assert pair.target(FOREIGN_KEYS) == []
    pair.write(
        "UPDATE p SET u = 'tmp' WHERE id = 1",
        "UPDATE p SET u = 'a' WHERE id = 2",
        "UPDATE p SET u = 'b' WHERE id = 1",
    )
    pair.sync()
    pair.write("DELETE FROM p WHERE id = 3", "INSERT INTO c VALUES (40, 99, 'orphan')")
    pair.sync()
    for query in ("SELECT * FROM p ORDER BY id", "SELECT * FROM c ORDER BY id"):
        assert pair.target(query) == pair.source(query)
    assert pair.verify().equal
    assert pair.target("SELECT state, guarded FROM cdcsync.checkpoint") == [("streaming", True)]


def test_a_handover_called_off_leaves_no_foreign_key(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """One late write calls it off; the stream goes on without constraints, and the next handover adds them."""
    pair = make_pair(FAMILY)
    pair.install()
    pair.sync()
    put_back = handover._put_back  # noqa: SLF001  the last step before the source is asked again

    def late(session: Session) -> list[str]:
        remarks = put_back(session)
        pair.write("UPDATE c SET v = 'late' WHERE id = 10")
        return remarks

    with monkeypatch.context() as patch:
        patch.setattr(handover, "_put_back", late)
        report = pair.drain()
    assert not report.handed_over
    assert not report.quiet
    assert report.tables == ["c"]
    pair.sync()
    _goes_on_right(pair)
    report = pair.drain()
    assert report.handed_over
    assert report.handover is not None
    # Two rows lost their parent above; what is not true is not claimed.
    assert "2 rows have no parent" in "".join(report.handover.remarks)
    assert [validated for _, validated in pair.target(FOREIGN_KEYS)] == [False]


def test_a_handover_killed_before_its_commit_leaves_nothing(make_pair: Make) -> None:
    """SIGKILL with everything done but the COMMIT: no foreign key, the guard on, the stream goes on right."""
    pair = make_pair(FAMILY)
    pair.install()
    pair.sync()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, "drain", "--handover", "--quiet-seconds", "0", "--source", pair.path],
        env=clean_environment(**pair.database.environment()),
        cwd=pair.path.parent,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    _goes_on_right(pair)
    pair.write("DELETE FROM c WHERE p NOT IN (SELECT id FROM p)")
    report = pair.drain()
    assert report.handover is not None
    assert report.handover.remarks == []
    assert [validated for _, validated in pair.target(FOREIGN_KEYS)] == [True]


def test_a_handover_that_fails_at_its_last_step_is_undone(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error instead of the cut over leaves the target as it was, and the source may go on."""
    pair = make_pair(FAMILY)
    pair.install()
    pair.sync()

    def fail(*_: object) -> None:
        message = "planted"
        raise TargetError(message)

    with monkeypatch.context() as patch:
        patch.setattr("cdcsync.edges.checkpoint.CheckpointStore.cut_over", fail)
        with pytest.raises(TargetError, match="planted"):
            pair.drain()
    _goes_on_right(pair)


def test_the_tests_see_foreign_keys_that_stay(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: foreign keys in a transaction of their own before the decision are found out."""
    pair = make_pair(FAMILY)
    pair.install()
    pair.sync()
    real = handover.hand_over

    def early(session: object, decide: Callable[[], None]) -> object:
        handover.complete_target(session, "foreign_key")  # type: ignore[arg-type]
        pair.write("UPDATE c SET v = 'late' WHERE id = 10")
        return real(session, decide)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(handover, "hand_over", early)
        assert not pair.drain().handed_over
    with pytest.raises(AssertionError):
        _goes_on_right(pair)


def test_a_table_held_by_somebody_else_is_told_with_the_way_out(make_pair: Make) -> None:
    """PostgreSQL only says that a statement was canceled."""
    pair = make_pair(FAMILY)
    pair.install()
    pair.sync()
    with pair.database.connect() as holder, pair.database.connect() as waiter:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE c IN SHARE UPDATE EXCLUSIVE MODE")
        waiter.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable) as refused:
            waiter.execute("ALTER TABLE c ADD COLUMN more int")
    assert "holds a table; let it end, and run this again" in one_line(refused.value)


def test_orphans_are_remarked_and_not_fatal(make_pair: Make) -> None:
    """Rows without a parent arrive; the foreign key then guards new rows only, and the remark counts them."""
    pair = make_pair(FAMILY + "INSERT INTO c VALUES (40, 98, 'orphan'), (41, 99, 'orphan')")
    pair.install()
    pair.sync()
    report = pair.drain()
    assert report.handover is not None
    assert "2 rows have no parent" in "".join(report.handover.remarks)
    with pytest.raises(Exception, match="foreign key"):
        pair.execute("INSERT INTO c VALUES (50, 97, 'new orphan')")


def test_after_the_handover_the_tables_are_the_applications(make_pair: Make) -> None:
    """Migrated or dropped in PostgreSQL: run and drain succeed and touch nothing, verify says why it cannot answer."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, v); CREATE TABLE u (id INTEGER PRIMARY KEY)")
    pair.install()
    pair.sync()
    assert pair.drain().handed_over
    pair.execute("ALTER TABLE t DROP COLUMN v", "DROP TABLE u", "INSERT INTO t DEFAULT VALUES")
    pair.write("INSERT INTO t VALUES (7, 7)", "DELETE FROM u")
    with Context(pair.settings) as context:
        Daemon(context).run()
        Daemon(context).run_once()
    for handover_too in (False, True):
        report = pair.drain(handover=handover_too)
        assert (report.handed_over, report.reason) == (True, "already cut over")
    with pytest.raises(GaveUpError, match="handed over"):
        pair.verify()
    assert pair.target("SELECT * FROM t") == [(1,)]


def test_uninstall_without_postgres_changes_nothing(make_pair: Make) -> None:
    """The source keeps its triggers and id, so that the guard can still be taken off; --source-only frees it."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    pair.install()
    pair.sync()
    ours = "SELECT name FROM sqlite_master WHERE substr(name, 1, 8) = '_cdcsync' ORDER BY 1"
    before = pair.source(ours)
    there, away = pair.settings.target, pair.database.conninfo(port=1)
    pair.change_settings(target=away)
    with pytest.raises(TargetError, match="nothing was changed: --source-only"):
        pair.uninstall()
    assert pair.source(ours) == before
    pair.change_settings(target=there)
    pair.uninstall()
    assert pair.source(ours) == []
    pair.execute("INSERT INTO t VALUES (1, 1)", "DELETE FROM t")
    pair.install()
    pair.change_settings(target=away)
    with Context(pair.settings) as context:
        uninstall(context, drop_control=False, source_only=True)
    assert pair.source(ours) == []


def test_a_table_created_after_install_is_reported_and_no_obstacle(make_pair: Make, cli: Cli) -> None:
    """Every verb goes on; `status` names the table until it is skipped by name."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1)")
    pair.install()
    pair.sync()
    pair.write("CREATE TABLE brand_new (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (2, 2)")
    pair.sync()
    assert pair.verify().equal
    cli.environment |= pair.database.environment() | {"CDCSYNC_SOURCE": str(pair.path)}
    assert "brand_new" in cli("status").out
    with Context(pair.settings) as context:
        assert status(context)["new_tables"] == ["brand_new"]
    assert pair.drain(handover=False).drained
    assert pair.drain().handed_over
    assert pair.target("SELECT id FROM t ORDER BY id") == [(1,), (2,)]
    assert pair.target("SELECT to_regclass('brand_new')") == [(None,)]


@pytest.mark.parametrize(
    "mapping",
    [
        {"columns": {"w": {"skip": True}}},
        {"columns": {"w": {"target": "other"}}},
        {"target": "elsewhere"},
        {"key": ["u"]},
    ],
    ids=["column left out", "column renamed", "table renamed", "other key"],
)
def test_a_mapping_changed_after_install_stops_with_one_line(make_pair: Make, mapping: dict[str, object]) -> None:
    """No column is silently frozen: each verb that moves or compares rows stops and names the table."""
    pair = make_pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, w TEXT, at DATETIME, u TEXT NOT NULL UNIQUE);"
        "CREATE TABLE other (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1, 'a', NULL, 'u')"
    )
    pair.install()
    pair.sync()
    pair.execute("ALTER TABLE t ADD COLUMN other text")
    installed = pair.settings
    pair.settings = type(installed)(**installed.model_dump(exclude={"tables", "target_schema"}), tables={"t": mapping})
    pair.write("UPDATE t SET w = 'changed'")
    for verb in (pair.sync, pair.verify, pair.drain):
        with pytest.raises(PermanentStopError, match=r"^table t is not mapped any more as it was at install: [^\n]*$"):
            verb()
    assert pair.target("SELECT w FROM t") == [("a",)]
    pair.settings = installed
    pair.sync()
    assert pair.target("SELECT w FROM t") == [("changed",)]
