"""Verify by the hundred: every planted difference is found, and no run beside a busy application alarms falsely."""

from __future__ import annotations

import threading
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

from support.following import following

from cdcsync.machine.comparison import Comparison
from cdcsync.machine.context import Context
from cdcsync.machine.session import Session
from cdcsync.machine.verify import verify
from cdcsync.machine.verify_report import VerifyReport
from cdcsync.words.nouns import Difference

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from support.pair import Pair

    Make = Callable[..., Pair]

PLANTED = 100
RUNS = 100
"""A tenth of what --full does."""

SCHEMA = """
CREATE TABLE names (k TEXT PRIMARY KEY COLLATE NOCASE, s TEXT, at DATETIME, r REAL);
CREATE TABLE tokens (u UUID PRIMARY KEY, s TEXT, at DATETIME, r REAL);
"""

# What is done to row {k} of {t}; a swap and a row under another key touch the two rows {k} and {other}.
KINDS = {
    "one byte": "UPDATE {t} SET s = 'Adb' WHERE {key} = '{k}'",
    "one microsecond": "UPDATE {t} SET at = at - interval '1 microsecond' WHERE {key} = '{k}'",
    "sign of zero": "UPDATE {t} SET r = '-0' WHERE {key} = '{k}'",
    "case": "UPDATE {t} SET s = upper(s) WHERE {key} = '{k}'",
    "missing": "DELETE FROM {t} WHERE {key} = '{k}'",
    "extra": "INSERT INTO {t} ({key}) VALUES ('{other}')",
    "swapped": "UPDATE {t} SET s = CASE {key} WHEN '{k}' THEN '' ELSE 'Ada' END WHERE {key} IN ('{k}', '{other}')",
    "NULL against empty": "UPDATE {t} SET s = NULL WHERE {key} = '{k}'",
}


def _name(table: str, number: int) -> str:
    return f"Name{number:06}" if table == "names" else str(UUID(int=number + 0xABCD << 96))


def _plant(pair: Pair, random: Random) -> set[tuple[str, str]]:
    """Plant differences of every kind in different rows; return table and key of each."""
    expected: set[tuple[str, str]] = set()
    statements = []
    for number in range(PLANTED):
        table, kind = random.choice(("names", "tokens")), tuple(KINDS)[number % len(KINDS)]
        # Rows with an odd number hold an empty text; above them all there are none.
        row, other = _name(table, 10 * number), _name(table, 10 * number + (5 if kind != "extra" else 3))
        key = "k" if table == "names" else "u"
        if kind == "NULL against empty":
            row = other
        statements.append(KINDS[kind].format(t=table, key=key, k=row, other=other))
        found = {"extra": {other}, "swapped": {row, other}}.get(kind, {row})
        expected |= {(table, one) for one in found}
    pair.force(*statements)
    return expected


def test_every_one_of_many_planted_differences_is_found(make_pair: Make, pytestconfig: pytest.Config) -> None:
    """A byte, a microsecond, a sign of zero, case, missing, extra, swapped, NULL against empty: these and no other."""
    pair = make_pair(SCHEMA)
    for table in ("names", "tokens"):
        rows = [(_name(table, 5 * n), "Ada" if n % 2 == 0 else "", "2025-01-01 00:00:00.5", 0.0) for n in range(220)]
        pair.insert(table, rows)
    pair.install()
    pair.sync()
    pair.force("CREATE TABLE kept_names AS TABLE names", "CREATE TABLE kept_tokens AS TABLE tokens")
    for seed in range(10 if pytestconfig.getoption("--full") else 1):
        expected = _plant(pair, Random(seed))
        assert len(expected) >= PLANTED
        assert {(one.table, one.key) for one in pair.verify().shown} == expected
        for table in ("names", "tokens"):
            pair.force(f"DELETE FROM {table}", f"INSERT INTO {table} TABLE kept_{table}")
    assert pair.verify().equal


def _write(pair: Pair, random: Random) -> None:
    """Change keys by case, delete, insert, and let rows become such as PostgreSQL cannot hold, and good again."""
    number = random.randint(0, 99)
    name, token = _name("names", number), _name("tokens", number)
    at = random.choice(("2025-01-01T00:00:00Z", "garbage", "2025-01-01 00:00:00.000001"))
    case = random.choice(("upper", "lower"))
    statements = (
        f"UPDATE names SET k = {case}(k), s = 'x' WHERE k = '{name}'",
        f"UPDATE names SET at = '{at}' WHERE k = '{name}'",
        f"UPDATE OR REPLACE tokens SET u = {case}(u), r = {number} WHERE u = '{token}'",
        f"UPDATE OR REPLACE tokens SET u = lower(u), at = '{at}' WHERE u = upper('{token}')",
        f"REPLACE INTO tokens VALUES ({case}('{token}'), 's', '{at}', -0.0)",
        f"DELETE FROM tokens WHERE lower(u) = '{token}'",
        f"DELETE FROM names WHERE k = '{name}'",
        f"REPLACE INTO names VALUES ({case}('{name}'), NULL, NULL, 1)",
    )
    pair.write(*random.sample(statements, 2))


def _compare(pair: Pair, runs: int, found: list[list[Difference]]) -> None:
    """Compare everything, and what changed since; note what each run found."""
    with Context(pair.settings) as context, Session(context) as session:
        for _ in range(runs):
            alarms = list(verify(session, None, 60.0, lambda _table, _rows: None).shown)
            for plan in session.keyed:
                proven = session.ledger.read().get(plan.number)
                if proven is not None:
                    since = VerifyReport()
                    Comparison(session, plan, since, None, lambda _table, _rows: None).since(max(0, proven.seq - 50))
                    alarms += since.shown
            found.append(alarms)


def test_no_false_alarm_in_many_runs_under_load(make_pair: Make, pytestconfig: pytest.Config) -> None:
    """NOCASE keys and UUIDs that change case, rows that go to quarantine and come back, whole passes and changes."""
    pair = make_pair(SCHEMA, apply_max_keys=3)
    for table in ("names", "tokens"):
        pair.insert(table, [(_name(table, number), "s", "2025-01-01 00:00:00", 0.0) for number in range(100)])
    pair.install()
    pair.sync()
    random, found = Random(5), list[list[Difference]]()
    runs = 10 * RUNS if pytestconfig.getoption("--full") else RUNS
    comparing = threading.Thread(target=_compare, args=(pair, runs, found))
    with following(pair):
        comparing.start()
        while comparing.is_alive():
            _write(pair, random)
            comparing.join(0.03)
    assert found == [[]] * runs
    assert pair.target("SELECT max(seq) > 50 FROM cdcsync.ledger") == [(True,)]
    pair.force("UPDATE names SET r = -1 WHERE k = (SELECT min(k) FROM names)")
    assert len(pair.verify().shown) == 1
