"""Names of every kind pass through every road: the copy, both lanes of the stream, verify and the handover."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.pair import MANY

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

NAMES = (
    *("a%b", "%", "%%", "%s", "%(x)s", "{}", "{0}", "{x}", "${x}", "$1", ":x", "?", "a\\b", "-- c", "a;b", "a\nb"),
    *(
        'a"b',
        '""',
        "a'b",
        "a.b",
        "a b",
        " ",
        "[x]",
        "1a",
        "é" * 20,
        "面接",
        "select",
        "User",
        "excluded",
        "rowid",
        "k1",
    ),
)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _schema(name: str, number: int) -> str:
    """One name everywhere at once: table, key, another column, and an index."""
    table, column = _quoted(name), _quoted(name)
    return (
        f"CREATE TABLE {table} ({column} TEXT NOT NULL, k INTEGER NOT NULL, {_quoted('other ' + name)} TEXT UNIQUE,"
        f" PRIMARY KEY ({column}, k));"
        f"CREATE UNIQUE INDEX {_quoted(f'{name}i{number}')} ON {table} ({column}, {_quoted('other ' + name)});"
    )


def _insert(pair: Pair, ids: range) -> None:
    for name in NAMES:
        pair.insert(_quoted(name), [(f"k{n % 7}", n, f"v{n}") for n in ids])


def _assert_same(pair: Pair) -> None:
    for name in NAMES:
        query = f"SELECT * FROM {_quoted(name)} ORDER BY k"
        with pair.database.connect() as connection:
            assert connection.execute(query.encode()).fetchall() == pair.source(query), name


def test_every_name_passes_through_every_road(make_pair: Make) -> None:
    """Copy, few rows, staged rows, deletes, swaps of unique values, verify and handover of all odd names at once."""
    pair = make_pair("".join(_schema(name, number) for number, name in enumerate(NAMES)))
    _insert(pair, range(3))
    assert pair.install().not_carried == []
    pair.sync()
    _assert_same(pair)
    for name in NAMES:
        # One table a cycle: the lane for few rows.
        table, column, other = _quoted(name), _quoted(name), _quoted("other " + name)
        pair.write(
            f"INSERT INTO {table} VALUES ('new', 100, 'v100')",
            f"UPDATE {table} SET {other} = 'changed', {column} = 'moved' WHERE k = 1",
            f"DELETE FROM {table} WHERE k = 0",
        )
    pair.change_settings(apply_max_keys=50)
    pair.sync()
    _assert_same(pair)
    pair.change_settings(apply_max_keys=100_000)
    for name in NAMES:
        table, other = _quoted(name), _quoted("other " + name)
        pair.write(
            f"UPDATE {table} SET {other} = 'between' WHERE k = 2",
            f"UPDATE {table} SET {other} = 'v2' WHERE k = 100",
            f"UPDATE {table} SET {other} = 'v100' WHERE k = 2",
        )
    _insert(pair, range(200, 200 + MANY))
    for name in NAMES:
        pair.write(f"DELETE FROM {_quoted(name)} WHERE k BETWEEN 200 AND 260")
    pair.sync()
    _assert_same(pair)
    report = pair.verify()
    assert report.equal, report.shown
    assert set(report.tables) == set(NAMES)
    drained = pair.drain()
    assert drained.handed_over
    assert drained.handover is not None
    assert drained.handover.remarks == []


@pytest.mark.parametrize("name", ["a%b", "%%", "%(x)s", "{}", 'a"b', "a.b", "select"])
def test_differences_and_bad_values_are_told_by_their_odd_names(make_pair: Make, name: str) -> None:
    """Verify finds a missing row under any name, and a refused value is told with table, key and column."""
    table, other = _quoted(name), _quoted("other " + name)
    pair = make_pair(_schema(name, 0))
    pair.insert(table, [("a", 1, "x"), ("b", 2, "y")])
    pair.install()
    pair.sync()
    pair.force(f"DELETE FROM {table} WHERE k = 1")
    report = pair.verify()
    assert [(found.table, found.source, found.target) for found in report.shown] == [(name, "(row)", None)]
    pair.force(f"INSERT INTO {table} VALUES ('a', 1, 'x')")
    pair.write(f"UPDATE {table} SET {other} = 'nul' || char(0) WHERE k = 2")
    pair.sync()
    assert [(told, column) for told, _, column in pair.quarantined()] == [(name, f"other {name}")]


@pytest.mark.parametrize("name", ["_cdcsync_place", "_CDCSYNC_x"])
def test_names_like_our_own_are_refused(make_pair: Make, name: str) -> None:
    """A column that begins like cdcsync's own is named by install, which changes nothing."""
    pair = make_pair(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {name} TEXT)")
    with pytest.raises(Exception, match=rf"{name} begins like cdcsync's own"):
        pair.install()
    assert pair.target("SELECT to_regclass('t')") == [(None,)]


def test_a_column_whose_name_begins_like_another_is_told_apart(make_pair: Make) -> None:
    """Of columns "a" and "a b" the one with the refused value is named."""
    pair = make_pair('CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, "a b" TEXT)')
    pair.install()
    pair.sync()
    pair.write("INSERT INTO t VALUES (1, 'good', 'nul' || char(0))")
    pair.sync()
    assert pair.quarantined() == [("t", "1", "a b")]
