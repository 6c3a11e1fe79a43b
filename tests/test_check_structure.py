"""What `check` finds beside single values: foreign keys, twins, sizes, types, places; on names of every kind."""

from __future__ import annotations

import random
import shlex
import sqlite3
import string
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest
from support.findings import checked, told_by

from cdcsync.machine import findings_room, findings_values
from cdcsync.words.settings import TableMapping

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.cli import Cli
    from support.pair import Pair

    Make = Callable[..., Pair]

UUIDS = [f"123e4567-e89b-42d3-a456-42661417{n:04x}" for n in range(4)]


def _codes(pair: Pair, *left_out: str) -> list[str]:
    usual = {"busy", "room_unknown", "drop_column", "no_key", *left_out}
    return [one.code for one in checked(pair) if one.code not in usual]


def test_a_clean_database_has_nothing_but_information(make_pair: Make) -> None:
    """An ordinary role is enough, and no finding is a warning."""
    pair = make_pair(
        "CREATE TABLE p (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL UNIQUE);"
        "CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p, at DATETIME);"
        "INSERT INTO p VALUES (1, 'a'); INSERT INTO c VALUES (1, 1, '2024-01-01T00:00:00Z'), (2, NULL, NULL)"
    )
    assert {one.severity for one in checked(pair)} == {"info"}


def test_an_empty_table_and_one_of_a_thousand_columns_are_looked_at(make_pair: Make) -> None:
    """Nothing is found in them, and nothing fails."""
    columns = ", ".join(f"c{n} TEXT" for n in range(1000))
    pair = make_pair(f"CREATE TABLE e (a); CREATE TABLE w (id INTEGER PRIMARY KEY, {columns})")
    pair.write("INSERT INTO w (id, c0, c999) VALUES (1, 'a', 'b')")
    assert _codes(pair) == []


def test_orphans_are_counted_with_their_keys_and_set_free_by_the_statement(make_pair: Make) -> None:
    """Rows that refer to nothing, each foreign key by itself; running what is advised leaves none."""
    pair = make_pair(
        'CREATE TABLE "p q" (id INTEGER PRIMARY KEY);'
        "CREATE TABLE two (a TEXT, b INT, PRIMARY KEY (a, b)) WITHOUT ROWID;"
        'CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES "p q", a TEXT NOT NULL, b INT,'
        " FOREIGN KEY (a, b) REFERENCES two); INSERT INTO two VALUES ('x', 1)"
    )
    pair.insert('"p q"', [(n,) for n in range(1500)])
    pair.insert("c", [(n, n if n % 500 else 90_000, "x", 1 if n != 7 else 2) for n in range(2000)])
    found = {one.column: one for one in checked(pair) if one.code == "orphans"}
    # 0, 500, 1000 and 1500 name one missing parent on two pages, the rest is just behind the last one.
    assert found["p"].count == 4 + 499
    assert found["p"].sample_keys == ("0", "500", "1000", "1500", "1501")
    assert (found[None].count, found[None].sample_keys) == (1, ("7",))
    pair.write(*(one.fix for one in found.values()))
    assert pair.source("SELECT count(*), count(p) FROM c") == [(1999, 1496)]
    assert "orphans" not in _codes(pair)


def test_a_parent_that_only_nocase_finds_is_an_orphan_in_postgresql(make_pair: Make) -> None:
    """SQLite compares by the parent's collation, PostgreSQL byte by byte."""
    pair = make_pair(
        "CREATE TABLE p (name TEXT COLLATE NOCASE PRIMARY KEY);"
        "CREATE TABLE c (id INTEGER PRIMARY KEY, name REFERENCES p);"
        "INSERT INTO p VALUES ('Bob'), ('Eve'); INSERT INTO c VALUES (1, 'bob'), (2, 'Eve'), (3, 'nobody')"
    )
    (found,) = (one for one in checked(pair) if one.code == "orphans")
    assert (found.count, found.sample_keys) == (2, ("1", "3"))


def test_foreign_keys_to_no_table_and_between_two_types_are_named(make_pair: Make) -> None:
    """PostgreSQL will not have them; the line that makes both ends alike is advised."""
    pair = make_pair(
        "CREATE TABLE p (id TEXT PRIMARY KEY);"
        "CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p, q REFERENCES gone(x));"
        "INSERT INTO c VALUES (1, 5, 6)"
    )
    found = {one.code: one for one in checked(pair)}
    assert found["no_parent"].column == "q"
    assert "gone" in found["no_parent"].message
    assert told_by(found["foreign_key_types"].fix) == {"c": {"columns": {"p": "text"}}}


@pytest.mark.parametrize(
    ("type_sql", "values", "twins"),
    [
        ("uuid", [UUIDS[0], UUIDS[0].upper(), UUIDS[1], UUIDS[2].upper()], 1),
        ("timestamptz", ["2024-01-01T00:00:00Z", "2024-01-01 01:00:00+01:00", "2024-01-01", "2024-01-02"], 2),
        ("numeric", ["1", "1.0", "1.50", "1.5", "10"], 2),
        ("boolean", ["yes", "on", "no"], 1),
        ("uuid", [UUIDS[0], UUIDS[1], UUIDS[2].upper()], 0),
    ],
)
def test_unique_values_that_would_be_equal_in_postgresql_are_twins(
    make_pair: Make, type_sql: str, values: list[str], twins: int
) -> None:
    """They are two by SQLite's index and one by the mapped type: PostgreSQL could not make the index."""
    tables = {"t": {"columns": {"a": {"type": type_sql}}}}
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE)", tables=tables)
    pair.insert("t", [*enumerate(values), (99, None), (100, None)])
    found = [one for one in checked(pair) if one.code == "twins"]
    assert [one.count for one in found] == [twins] * (twins > 0)
    for one in found:
        assert {"0", "1"} <= set(one.sample_keys)
        assert told_by(one.fix) == {"t": {"columns": {"a": "text"}}}


def _random_text(length: int) -> str:
    return "".join(random.Random(length).choices(string.ascii_letters + string.digits, k=length))


def test_rows_too_large_for_a_page_are_the_ones_postgresql_refuses(make_pair: Make) -> None:
    """A thousand columns of ten characters do not fit, nor do they with large values moved out; seven do."""
    columns = ", ".join(f"c{n} TEXT" for n in range(1000))
    pair = make_pair(f"CREATE TABLE w (id INTEGER PRIMARY KEY, {columns})")
    rows = [(n, *[None if width == 0 else _random_text(width)] * 1000) for n, width in enumerate((10, 7, 0, 300, 5))]
    rows.append((5, *[_random_text(300)] * 400, *[None] * 600))
    pair.insert("w", rows)
    (found,) = (one for one in checked(pair) if one.code == "row_too_large")
    assert (found.count, found.sample_keys) == (2, ("0", "3"))
    pair.execute(f"CREATE TABLE w (id bigint, {columns.lower()})")
    refused = []
    with pair.database.connect() as connection:
        for row in rows:
            marks = ", ".join(["%s"] * len(row))
            try:
                with connection.transaction():
                    connection.execute(f"INSERT INTO w VALUES ({marks})".encode(), row)
            except psycopg.errors.ProgramLimitExceeded:
                refused.append(str(row[0]))
    assert tuple(refused) == found.sample_keys


def test_keys_too_large_for_an_index_are_the_ones_postgresql_refuses(make_pair: Make) -> None:
    """The limit counts for the primary key and for every other index; what could be compressed is warned of too."""
    pair = make_pair("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT); CREATE INDEX t_v ON t (v, k)")
    texts = [_random_text(length) for length in (10, 2691, 2693, 4000)]
    pair.insert("t", [*((text, None) for text in texts), ("short", "é" * 1400), ("fits", "v" * 2600)])
    found = {one.message.split(" in ")[1].split(" (")[0]: one for one in checked(pair) if one.code == "key_too_large"}
    assert found["the primary key"].count == 2
    assert found["index t_v"].count == 3
    pair.execute("CREATE TABLE t (k text PRIMARY KEY)")
    with pair.database.connect() as connection:
        for text in texts:
            refused = len(text) > 2691
            try:
                with connection.transaction():
                    connection.execute("INSERT INTO t VALUES (%s)", [text])
                assert not refused
            except psycopg.errors.ProgramLimitExceeded:
                assert refused


def test_the_advice_for_an_index_of_large_values_can_be_followed(make_pair: Make) -> None:
    """SQLite's own indexes cannot be dropped, and a number is no column to hash: the index to make instead is named."""
    pair = make_pair('CREATE TABLE "T" (id INTEGER PRIMARY KEY, n INTEGER, "V" TEXT, UNIQUE (n, "V"))')
    pair.insert("T", [(1, 1, _random_text(4000))])
    (found,) = (one for one in checked(pair) if one.code == "key_too_large")
    pair.execute('CREATE TABLE "T" (id bigint PRIMARY KEY, n bigint, "V" text)')
    pair.execute(found.fix.partition(": ")[2])
    (index,) = pair.target("SELECT indexdef FROM pg_indexes WHERE tablename = 'T' AND indexname <> 'T_pkey'")
    assert index[0].startswith("CREATE UNIQUE INDEX")
    assert index[0].endswith('USING btree (n, md5("V"))')


def test_a_table_whose_unique_columns_take_null_is_told_that_they_can_be_its_key(make_pair: Make) -> None:
    """Synapse's users have UNIQUE (name) without NOT NULL: with that line they are streamed, not copied whole."""
    pair = make_pair("CREATE TABLE t (name TEXT UNIQUE, v TEXT); CREATE TABLE u (v TEXT)")
    found = {one.table: one for one in checked(pair) if one.code == "no_key"}
    assert found["t"].fix == '[tables.t] key = ["name"], if no row has NULL there, or give it a primary key'
    assert found["u"].fix == "give it a primary key"
    pair.settings = pair.settings.model_copy(update={"tables": {"t": TableMapping(key=("name",))}})
    assert [one.table for one in checked(pair) if one.code == "no_key"] == ["u"]


def test_a_value_larger_than_postgresql_holds_is_a_warning(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is a gigabyte; a smaller one serves the test."""
    monkeypatch.setattr(findings_values, "MOST_BYTES", 100)
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b BLOB)")
    pair.insert("t", [(1, "x" * 101, b"y" * 100), (2, "x", None)])
    (found,) = (one for one in checked(pair) if one.code == "too_large")
    assert (found.column, found.count) == ("a", 1)


def test_odd_declared_types_are_told_in_one_line_a_table(make_pair: Make) -> None:
    """They fall to what SQLite's affinity says and never stop anything."""
    pair = make_pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a POINT, b MONEY, "
        'c "some thing", d INT UNSIGNED, e NVARCHAR(5), f LONGTEXT)'
    )
    (found,) = (one for one in checked(pair) if one.code == "odd_type")
    assert found.severity == "info"
    assert found.message.endswith("a POINT is bigint, b MONEY is numeric, c some thing is numeric")
    pair.change_settings(tables=type(pair.settings)(tables={"t": {"columns": {"a": "text"}}}).tables)
    (found,) = (one for one in checked(pair) if one.code == "odd_type")
    assert "POINT" not in found.message


def test_a_rollback_journal_is_warned_of_with_the_command_that_ends_it(make_pair: Make) -> None:
    """The command is run as it stands, and then there is nothing to warn of."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    pair.write("INSERT INTO t VALUES (1)")
    assert pair.source("PRAGMA journal_mode = delete") == [("delete",)]
    pair.application.close()
    (found,) = (one for one in checked(pair) if one.code == "no_wal")
    subprocess.run(shlex.split(found.fix), check=True)
    assert "no_wal" not in _codes(pair)


def test_too_little_room_is_named_with_the_place(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Source, state_dir and, where it is on this machine, the target."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    monkeypatch.setattr(findings_room, "free_bytes", lambda _path: 1000)
    found = [one.message.partition(":")[0] for one in checked(pair) if one.code == "little_room"]
    assert found == ["changelog and write-ahead log of the source", "state_dir"]


def test_transactions_that_read_first_are_spoken_of(make_pair: Make) -> None:
    """An application that waits for no lock at all is warned."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    for seconds, severity in ((5, "info"), (0, "warning")):
        pair.change_settings(app_busy_timeout=seconds)
        assert [one.severity for one in checked(pair) if one.code == "busy"] == [severity]


ODD = 'odd "name".x; ñ'


def test_json_of_an_odd_database_has_all_keys_and_lines_that_parse(cli: Cli, tmp_path: Path) -> None:
    """Names with quotes, dots, spaces and other letters; warnings alone leave it ready, with exit 0."""
    quoted = '"' + ODD.replace('"', '""') + '"'
    with closing(sqlite3.connect(tmp_path / "odd one.db")) as db, db:
        db.execute("PRAGMA journal_mode = wal")
        db.execute(f'CREATE TABLE {quoted} ({quoted} TEXT PRIMARY KEY, "select" DATETIME, "a.b" TEXT) WITHOUT ROWID')
        db.execute('CREATE TABLE "" (id INTEGER PRIMARY KEY)')
        rows = [("k", "2024-01-01", "fine"), ("l'", 1700000000, "fine"), ('m"', "x", "a\0")]
        db.executemany(f"INSERT INTO {quoted} VALUES (?, ?, ?)", rows)
    answer = cli("check", "--source", "../odd one.db", "--json").json
    assert answer["ready"] is True
    values = {one["code"]: one for one in answer["findings"] if one["table"] == ODD}
    keys = {"severity", "code", "table", "column", "count", "sample_keys", "message", "fix"}
    assert all(keys <= set(one) for one in answer["findings"])
    assert set(values) == {"naive_time", "epoch", "not_a_time", "nul"}
    assert values["nul"] | {"message": ""} == {
        "severity": "warning", "code": "nul", "table": ODD, "column": "a.b", "count": 1, "sample_keys": ["'m\"'"],
        "message": "", "fix": values["nul"]["fix"],
    }  # fmt: skip
    assert told_by(values["nul"]["fix"]) == {ODD: {"columns": {"a.b": {"type": "text", "on_nul": "strip"}}}}
    assert told_by(values["epoch"]["fix"]) == {ODD: {"columns": {"select": "text"}}}
