"""Verify compares chosen rows, and what hangs on them, again and again where that is asked for."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest
from support.following import following

from cdcsync.machine.context import Context
from cdcsync.machine.session import Session
from cdcsync.machine.verify import verify_chosen, with_relatives
from cdcsync.words.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.cli import Cli
    from support.pair import Pair

    from cdcsync.machine.verify_report import VerifyReport

    Make = Callable[..., Pair]

SCHEMA = """
CREATE TABLE "se ssions" (id TEXT PRIMARY KEY COLLATE NOCASE, owner TEXT, n INT DEFAULT 0, UNIQUE (owner, n));
CREATE TABLE messages (id INTEGER PRIMARY KEY, session TEXT REFERENCES "Se Ssions" (ID), body TEXT, "order" INT);
CREATE TABLE "at.tachments" (a INT, b INT, message INT REFERENCES messages, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE by_owner (id INTEGER PRIMARY KEY, owner TEXT, n INT,
    FOREIGN KEY (owner, n) REFERENCES "se ssions" (owner, n));
CREATE TABLE loose (message INT REFERENCES messages);
CREATE TABLE other (id INTEGER PRIMARY KEY);
INSERT INTO "se ssions" VALUES ('Ab', 'ann', 1), ('b', 'ann', 2), ('c', 'bob', 1);
INSERT INTO messages VALUES (1, 'aB', 'x', 1), (2, 'ab', 'y', 2), (3, 'b', 'z', 1), (4, NULL, 'w', 1);
INSERT INTO "at.tachments" VALUES (1, 1, 1), (1, 2, 3), (2, 1, 2);
INSERT INTO by_owner VALUES (1, 'ann', 1), (2, 'bob', 1);
"""


def _chosen(pair: Pair, condition: str, table: str = "se ssions", *, related: bool = True) -> VerifyReport:
    with Context(pair.settings) as context, Session(context) as session:
        names = with_relatives(session, table) if related else [table]
        return verify_chosen(session, names, condition, 20.0, lambda _table, _rows: None)


@pytest.fixture
def pair(make_pair: Make) -> Pair:
    """A synced pair with sessions, what hangs on them, and what does not."""
    made = make_pair(SCHEMA)
    made.install()
    made.sync()
    return made


def test_only_the_rows_that_meet_the_condition_are_compared(pair: Pair) -> None:
    """A difference in one of them is found; one in another row is not looked at; the ledger stays as it was."""
    pair.force("UPDATE \"se ssions\" SET n = 9 WHERE id = 'c'")
    report = _chosen(pair, "owner = 'ann' -- and no more", related=False)
    assert report.equal
    assert report.rows_compared == 2
    assert [found.key for found in _chosen(pair, "id LIKE 'C'", related=False).shown] == ["c"]
    assert pair.target("SELECT count(*) FROM cdcsync.ledger") == [(0,)]


def test_rows_that_hang_on_chosen_ones_are_compared_by_foreign_keys(pair: Pair) -> None:
    """At every level, by a key of two columns, by names in another case and in the parent's collation."""
    report = _chosen(pair, "id = 'ab'")
    assert report.equal
    compared = {name: result.rows_source for name, result in report.tables.items()}
    assert compared == {"se ssions": 1, "messages": 2, "by_owner": 1, "at.tachments": 2, "loose": 0}
    assert "has no key" in str(report.tables["loose"].skipped)
    pair.force("UPDATE messages SET body = 'Z' WHERE id = 3", 'UPDATE "at.tachments" SET message = 3 WHERE a = 2')
    assert [(one.table, one.key) for one in _chosen(pair, "id = 'ab'").shown] == [("at.tachments", "2, 1")]
    assert len(_chosen(pair, "1").shown) == 2


def test_rows_that_only_the_target_has_under_chosen_ones_are_found(pair: Pair) -> None:
    """An extra message of a chosen session is one difference; that of another session is none."""
    pair.force("INSERT INTO messages (id, session) VALUES (10, 'Ab'), (11, 'b')", 'DELETE FROM "at.tachments"')
    pair.force('INSERT INTO "at.tachments" VALUES (1, 1, 1), (1, 2, 3), (2, 1, 2), (9, 9, 2)')
    shown = _chosen(pair, "id = 'Ab'").shown
    assert sorted((one.table, one.key, one.target) for one in shown) == [
        ("at.tachments", "9, 9", "(row)"),
        ("messages", "10", "(row)"),
    ]


def test_a_condition_that_sqlite_refuses_is_quoted(pair: Pair) -> None:
    """Whatever is wrong with it is said in SQLite's words, also what only shows on some row; nothing is written."""
    for condition, words in (
        ("nowhere = 1", "no such column: nowhere"),
        ("id = ", "syntax error"),
        ("id = ?", "binding"),
        ("1); DELETE FROM other; SELECT (1", "syntax error"),
        ("json_extract(owner, '$.a') = 1", "malformed JSON"),
        ("count(*) > 1", "misuse of aggregate"),
    ):
        with pytest.raises(UsageError, match=words):
            _chosen(pair, condition)
    with pytest.raises(UsageError, match="has no key"):
        _chosen(pair, "1", "loose", related=False)


def test_tables_that_refer_to_each_other_are_all_reached(make_pair: Make) -> None:
    """A circle of foreign keys, and one of a table to itself, end."""
    pair = make_pair(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, b INT REFERENCES b, up INT REFERENCES a);"
        "CREATE TABLE b (id INTEGER PRIMARY KEY, c INT REFERENCES c);"
        "CREATE TABLE c (id INTEGER PRIMARY KEY, a INT REFERENCES a);"
        "INSERT INTO a VALUES (1, 1, 1); INSERT INTO c VALUES (1, 1); INSERT INTO b VALUES (1, 1)"
    )
    pair.install()
    pair.sync()
    report = _chosen(pair, "id = 1", "a")
    assert {name: result.rows_source for name, result in report.tables.items()} == {"a": 1, "c": 1, "b": 1}
    with Context(pair.settings) as context, Session(context) as session:
        assert with_relatives(session, "b") == ["b", "a", "c"]


def test_no_false_alarm_for_chosen_rows_that_move(pair: Pair) -> None:
    """Rows come, go and change parents and the parents' condition meanwhile; applied in cycles of three entries."""
    pair.change_settings(apply_max_keys=3)
    answers: list[VerifyReport] = []
    comparing = threading.Thread(target=lambda: answers.extend(_chosen(pair, "owner = 'ann'") for _ in range(15)))
    number = 100
    with following(pair):
        comparing.start()
        while comparing.is_alive():
            number += 1
            owner = ("ann", "bob")[number % 2]
            pair.write(
                f"UPDATE \"se ssions\" SET owner = '{owner}', n = {number} WHERE id = 'b'",
                f"INSERT INTO messages VALUES ({number}, '{'abc'[number % 3]}', 'new', 1)",
                f"UPDATE messages SET session = 'b', body = {number} WHERE id = {number - 3}",
                f'UPDATE "at.tachments" SET message = {number} WHERE b = 1',
                f"DELETE FROM messages WHERE id = {number - 6}",
            )
            comparing.join(0.05)
    assert len(answers) == 15
    assert [one.shown for one in answers if not one.equal] == []
    pair.force(f"UPDATE messages SET body = 'planted' WHERE id = {number}")
    assert [one.key for one in _chosen(pair, f"id = {number}", "messages", related=False).shown] == [str(number)]


def test_the_command_repeats_until_interrupted_and_tells_how_the_last_one_ended(pair: Pair, cli: Cli) -> None:
    """A line each time; 130 where all was equal, 1 where the last comparison found a difference."""
    cli.environment |= pair.database.environment() | {"CDCSYNC_SOURCE": str(pair.path)}
    options = ("--table", "se ssions", "--related", "--where", "id = 'ab'")
    report = cli("verify", "--json", *options).json
    assert (report["equal"], report["rows_compared"]) == (True, 6)
    running = cli.start("verify", "--every", "0.1", *options)
    running.wait_for_line("20")
    running.send(signal.SIGINT)
    assert running.wait() == 130
    pair.force("DELETE FROM messages WHERE id = 1")
    running = cli.start("verify", "--every", "0.1", *options)
    assert "6 rows compared, 1 different, such as messages, key 1" in running.wait_for_line("20")
    running.send(signal.SIGINT)
    assert running.wait() == 1
    for wrong in (("--where", "1"), ("--related",), ("--table", "other", "--where", "1", "--repair")):
        cli("verify", *wrong, expect=2)
    assert "SQLite refuses this condition: no such column" in cli("verify", *options[:3], "--where", "x", expect=2).err
