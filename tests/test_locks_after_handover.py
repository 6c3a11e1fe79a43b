"""What `uninstall` and `rollback` lock while the application uses PostgreSQL neither fails nor stops its statements."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from cdcsync.machine import locks
from cdcsync.words.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    from support.pair import Pair

SCHEMA = """
CREATE TABLE p (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT);
CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p);
INSERT INTO p (name) VALUES ('a');
"""
WAITS = "SELECT FROM pg_locks WHERE NOT granted AND relation IN ('p'::regclass, 'c'::regclass)"


@pytest.fixture
def handed_over(make_pair: Callable[..., Pair]) -> Pair:
    """The application is on PostgreSQL."""
    pair = make_pair(SCHEMA)
    pair.make_ready()
    assert pair.cutover().done
    return pair


@contextmanager
def _meanwhile(pair: Pair, work: Callable[[], object]) -> Iterator[psycopg.Connection]:
    """Hold a transaction of the application's that has written to `c`, while `work` waits for it in a thread."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  told to the test
            failed.append(error)

    thread = threading.Thread(target=run)
    with pair.database.connect() as application:
        application.autocommit = False
        application.execute("INSERT INTO c VALUES (1, 1)")
        thread.start()
        while thread.is_alive() and not pair.target(WAITS):
            pass
        yield application
        application.commit()
    thread.join()
    assert not failed, failed


def test_uninstall_and_a_transaction_of_the_application_do_not_end_in_a_deadlock(handed_over: Pair) -> None:
    """It writes to `c`, then to `p`; `uninstall` takes the guard off `p`, then off `c`."""
    with _meanwhile(handed_over, handed_over.uninstall) as application:
        application.execute("INSERT INTO p (name) VALUES ('b')")
    assert handed_over.target("SELECT FROM pg_trigger WHERE tgname = '_cdcsync_guard'") == []
    assert handed_over.target("SELECT count(*) FROM p") == [(2,)]


def test_a_rollback_and_a_transaction_of_the_application_do_not_end_in_a_deadlock(handed_over: Pair) -> None:
    """The rollback waits for it, and then counts what it wrote among what is given up."""
    reports = []
    with _meanwhile(handed_over, lambda: reports.append(handed_over.rollback(discard=True))) as application:
        application.execute("INSERT INTO p (name) VALUES ('b')")
    assert [(report.done, report.target_writes) for report in reports] == [(True, {"p": 1, "c": 1})]


def test_a_transaction_that_does_not_end_is_named(handed_over: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the process to end; both sides are as they were, and PostgreSQL does not count as out of reach."""
    monkeypatch.setattr(locks, "LONGEST_WAIT", 0.5)
    with handed_over.database.connect() as application:
        application.autocommit = False
        application.execute("INSERT INTO c VALUES (1, 1)")
        held = rf"held by another transaction \(pid {application.info.backend_pid}\)"
        for verb in (handed_over.uninstall, lambda: handed_over.rollback(discard=True)):
            with pytest.raises(RefusedError, match=held):
                verb()
    assert len(handed_over.target("SELECT FROM pg_trigger WHERE tgname = '_cdcsync_guard'")) == 2
    assert handed_over.target("SELECT state FROM cdcsync.status") == [("cut_over",)]
    with pytest.raises(sqlite3.OperationalError, match="moved to PostgreSQL"):
        handed_over.application.execute("DELETE FROM p")
