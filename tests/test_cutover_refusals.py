"""A cutover that cannot be: each closed gate and each failed step leaves the application writing to SQLite."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from cdcsync.edges.checkpoint import CheckpointStore
from cdcsync.machine import cutover as cutover_module
from cdcsync.words.settings import Hooks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.pair import Pair

    from cdcsync.machine.cutover_report import CutoverReport

    Make = Callable[..., Pair]

SCHEMA = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b')"


@pytest.fixture
def pair(make_pair: Make) -> Pair:
    """A source that could be cut over at once."""
    made = make_pair(SCHEMA)
    made.make_ready()
    return made


def _goes_on(pair: Pair) -> None:
    """SQLite accepts writes, PostgreSQL none, and the stream goes on."""
    pair.write("INSERT INTO t (v) VALUES ('goes on')")
    with pytest.raises(psycopg.Error, match="is being filled"):
        pair.execute("INSERT INTO t VALUES (-1, 'no')")
    pair.sync()
    assert pair.target("SELECT state FROM cdcsync.status") == [("streaming",)]
    assert pair.verify().equal


def _codes(report: CutoverReport) -> list[str]:
    assert not report.done
    assert report.pause_seconds is None
    return [refusal.code for refusal in report.refusals]


def test_a_table_nobody_verified_is_refused(make_pair: Make) -> None:
    """Unless every row is compared in the pause."""
    pair = make_pair(SCHEMA)
    pair.install()
    pair.sync()
    assert _codes(pair.cutover()) == ["unverified"]
    _goes_on(pair)
    assert pair.cutover(full_verify=True).done


def test_a_table_that_is_not_copied_is_refused(make_pair: Make) -> None:
    """And told by name."""
    pair = make_pair(SCHEMA)
    pair.install()
    report = pair.cutover()
    assert "not_copied" in _codes(report)
    assert "t" in report.refusals[0].message


def test_rows_in_quarantine_are_refused_beyond_the_accepted_number(pair: Pair) -> None:
    """They would be missing."""
    pair.write("INSERT INTO t VALUES (3, 'a' || char(0))")
    pair.sync()
    assert _codes(pair.cutover()) == ["quarantine"]
    assert pair.cutover(accept_quarantine=1).done


def test_drift_is_refused(pair: Pair) -> None:
    """A schema that moved is answered first."""
    pair.write("ALTER TABLE t ADD COLUMN w")
    assert "drift" in _codes(pair.cutover())
    pair.sync()
    _goes_on(pair)


def test_lag_is_refused(pair: Pair) -> None:
    """By the age of the oldest change that is not applied."""
    pair.write("INSERT INTO t (v) VALUES ('old')")
    time.sleep(0.05)
    assert _codes(pair.cutover(max_lag_seconds=0.01)) == ["lag"]
    _goes_on(pair)


def test_a_pause_longer_than_writers_wait_is_refused(pair: Pair) -> None:
    """app_busy_timeout is 5 s: four are the most."""
    assert _codes(pair.cutover(max_pause=4.5)) == ["busy_timeout"]
    _goes_on(pair)


def test_a_pause_expected_to_be_too_long_is_refused(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the fence, not after it."""
    monkeypatch.setattr("cdcsync.machine.estimate.pause_seconds", lambda *_: 2.5)
    assert _codes(pair.cutover(max_pause=2.0)) == ["pause_too_long"]
    _goes_on(pair)


def test_missing_rights_of_the_applications_role_are_refused_with_their_grants(pair: Pair) -> None:
    """The messages are the statements to run; a role that is not there is told."""
    with pair.database.server.admin(pair.database.name) as admin:
        admin.execute(b"CREATE ROLE app_of_test")
    try:
        pair.change_settings(app_role="nobody_of_test")
        assert _codes(pair.cutover()) == ["grants"]
        pair.change_settings(app_role="app_of_test")
        report = pair.cutover()
        assert _codes(report) == ["grants"]
        assert "GRANT DELETE, INSERT, SELECT, UPDATE ON t TO app_of_test" in report.refusals[0].message
        pair.execute("GRANT ALL ON t TO app_of_test")
        with pair.database.server.admin(pair.database.name) as admin:
            admin.execute(b"GRANT USAGE ON SCHEMA public TO app_of_test")
        assert pair.cutover().done
    finally:
        with pair.database.server.admin(pair.database.name) as admin:
            admin.execute(b"DROP OWNED BY app_of_test")
            admin.execute(b"DROP ROLE app_of_test")


def test_an_index_of_a_table_is_not_asked_for_the_rights_of_a_sequence(make_pair: Make) -> None:
    """It depends on its table as a sequence does, in whichever order PostgreSQL looks at the two."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX t_v ON t (v)")
    pair.make_ready()
    with pair.database.server.admin(pair.database.name) as admin:
        admin.execute(b"CREATE ROLE indexed_of_test")
    try:
        pair.change_settings(app_role="indexed_of_test")
        assert _codes(pair.cutover()) == ["grants"]
    finally:
        with pair.database.server.admin(pair.database.name) as admin:
            admin.execute(b"DROP ROLE indexed_of_test")


def test_a_report_that_cannot_be_written_is_a_remark(pair: Pair, tmp_path: Path) -> None:
    """The application has moved by then, and whoever moved it has to read that."""
    (tmp_path / "a file").touch()
    pair.change_settings(state_dir=tmp_path / "a file")
    report = pair.cutover()
    assert (report.done, report.report) == (True, None)
    assert any("report could not be written" in remark for remark in report.remarks)


def test_a_full_disk_is_refused(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the backup begins."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("usage", (), {"free": 10}))
    assert _codes(pair.cutover(backup=tmp_path / "b.db")) == ["disk"]
    assert not (tmp_path / "b.db").exists()
    _goes_on(pair)


def test_a_difference_in_what_changed_since_is_found_before_the_decision(pair: Pair) -> None:
    """As many rows on both sides, one of them other: counts would not tell."""
    pair.write("UPDATE t SET v = 'right' WHERE id = 1")
    pair.sync()
    pair.force("UPDATE t SET v = 'wrong' WHERE id = 1")
    report = pair.cutover()
    assert not report.done
    assert "the target differs, in table t, key 1" in str(report.reason)
    pair.repair()
    assert pair.verify().equal
    _goes_on(pair)


def _hooked(pair: Pair, **hooks: str) -> None:
    pair.change_settings(hooks=Hooks(**hooks))


def test_a_failing_hook_before_the_fence_calls_it_off(pair: Pair, tmp_path: Path) -> None:
    """And on_abort is run."""
    _hooked(pair, before_fence="echo no >&2; exit 3", on_abort=f"touch {tmp_path}/aborted")
    report = pair.cutover()
    assert (report.done, report.aborted_at) == (False, "before_fence")
    assert "exit code 3: no" in str(report.reason)
    assert (tmp_path / "aborted").exists()
    _goes_on(pair)


def test_a_hook_that_hangs_is_ended(pair: Pair) -> None:
    """With everything it started."""
    _hooked(pair, before_fence="sleep 60")
    pair.change_settings(hook_timeout_seconds=0.2)
    report = pair.cutover()
    assert "took longer than 0.2 s" in str(report.reason)
    _goes_on(pair)


@pytest.mark.parametrize("hook", ["after_handover", "smoke_test"])
def test_a_failing_hook_after_the_handover_goes_back_by_itself(pair: Pair, tmp_path: Path, hook: str) -> None:
    """As long as nobody has written to PostgreSQL; the hooks know where they stand."""
    _hooked(pair, **{hook: f"env > {tmp_path}/env; exit 1"})
    report = pair.cutover()
    assert not report.done
    assert "the application is back on SQLite" in str(report.reason)
    told = (tmp_path / "env").read_text()
    assert "CDCSYNC_HOOK_STATE=cut_over" in told
    assert f"PGDATABASE={pair.database.name}" in told
    assert "PGPASSWORD" not in told
    _goes_on(pair)


def test_a_failing_smoke_test_stays_once_postgresql_was_written_to(pair: Pair) -> None:
    """A person decides; the same command goes on when it is mended."""
    write = f"{pair.psql()} -c \"INSERT INTO t (v) VALUES ('first')\""
    _hooked(pair, after_handover=write, smoke_test="exit 1")
    report = pair.cutover()
    assert not report.done
    assert "cdcsync rollback --discard-target-writes" in str(report.reason)
    with pytest.raises(sqlite3.OperationalError, match="moved to PostgreSQL"):
        pair.application.execute("DELETE FROM t")
    _hooked(pair, smoke_test="true")
    assert pair.cutover().done
    assert pair.target("SELECT count(*) FROM t") == [(3,)]


@pytest.mark.parametrize("step", ["drain", "verify", "complete", "decide"])
def test_losing_postgresql_before_the_decision_leaves_sqlite_in_charge(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whichever step its connection dies in."""
    _lose_connection_at(pair, monkeypatch, step)
    report = pair.cutover()
    assert not report.done
    assert report.aborted_at == step
    _goes_on(pair)


def test_losing_postgresql_after_the_decision_is_waited_for(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is only forward then: it is asked again until it answers."""
    real, lost = CheckpointStore.cut_over, []

    def cut_over(self: CheckpointStore) -> None:
        if not lost:
            lost.append(True)
            _lose_connection(pair)
        real(self)

    monkeypatch.setattr(CheckpointStore, "cut_over", cut_over)
    report = pair.cutover()
    assert lost
    assert report.done, report
    pair.execute("INSERT INTO t (v) VALUES ('there')")


def _lose_connection_at(pair: Pair, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Let the server end our sessions when a step begins."""
    report_class = cutover_module.CutoverReport
    real = report_class.step

    def told(self: CutoverReport, name: str) -> object:
        if name == step:
            _lose_connection(pair)
        return real(self, name)

    monkeypatch.setattr(report_class, "step", told)


def _lose_connection(pair: Pair) -> None:
    with pair.database.server.admin("postgres") as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = %s AND application_name = 'cdcsync'",
            [pair.database.name],
        )
