"""The types of tables found in place decide how values arrive, and `check` judges the values by them."""

from __future__ import annotations

import sqlite3
import tomllib
from typing import TYPE_CHECKING

import psycopg
import pytest
from support.pair import Pair

from cdcsync.machine.check import check
from cdcsync.machine.context import Context
from cdcsync.machine.dry_run import dry_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.cli import Cli
    from support.postgres import Database

    from cdcsync.words.nouns import Finding

    Make = Callable[..., Pair]


def findings(pair: Pair, *severities: str) -> list[Finding]:
    """Return what `check` says, of these severities."""
    with Context(pair.settings) as context:
        return [found for found in check(context, lambda _name, _rows: None) if found.severity in severities]


# As the source declares and holds it, as the target has it, as PostgreSQL shows it then.
COLUMNS = {
    "small integer": ("INTEGER", "7", "smallint", "7"),
    "integer": ("INTEGER", "-8", "integer", "-8"),
    "flag": ("INTEGER", "1", "boolean", "true"),
    "word": ("TEXT", "'false'", "boolean", "false"),
    "uuid": (
        "TEXT",
        "'0b7e5f10-6c1c-4b7e-9d62-3a8f0c2b1d11'",
        "uuid",
        "0b7e5f10-6c1c-4b7e-9d62-3a8f0c2b1d11",
    ),
    "uuid of bytes": (
        "BLOB",
        "x'0b7e5f106c1c4b7e9d623a8f0c2b1d11'",
        "uuid",
        "0b7e5f10-6c1c-4b7e-9d62-3a8f0c2b1d11",
    ),
    "jsonb": ("TEXT", """'{"a": [1]}'""", "jsonb", '{"a": [1]}'),
    "json": ("JSON", """'{"a":  1}'""", "json", '{"a":  1}'),
    "zoned": ("TEXT", "'2024-01-02T03:04:05+02:00'", "timestamptz", "2024-01-02 01:04:05+00"),
    "naive": ("DATETIME", "'2024-01-02 03:04:05.5'", "timestamp", "2024-01-02 03:04:05.5"),
    "milliseconds": (
        "DATETIME",
        "'2024-01-02 03:04:05.123'",
        "timestamp(3) with time zone",
        "2024-01-02 03:04:05.123+00",
    ),
    "date": ("TEXT", "'2024-01-02'", "date", "2024-01-02"),
    "time": ("TIME", "'03:04:05'", "time", "03:04:05"),
    "varchar": ("TEXT", "'ab'", "varchar(2)", "ab"),
    "char": ("VARCHAR(3)", "'abc'", "char(3)", "abc"),
    "numeric": ("REAL", "1.25", "numeric(5,2)", "1.25"),
    "decimal": ("DECIMAL(9,2)", "12", "numeric(9,2)", "12.00"),
    "bytes": ("BLOB", "x'00ff'", "bytea", "\\x00ff"),
    "mood": ("TEXT", "'happy'", "mood", "happy"),
    "domain": ("TEXT", "'abc'", "short", "abc"),
    "domain of a domain": ("INTEGER", "5", "percent_of_all", "5"),
    "number in text": ("INTEGER", "12", "text", "12"),
}
TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN short AS varchar(3) CHECK (VALUE <> 'no');
CREATE DOMAIN percent AS smallint CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN percent_of_all AS percent DEFAULT 0 NOT NULL;
"""


def test_every_type_of_the_target_takes_what_fits_it(make_pair: Make) -> None:
    """Columns in another order, more of the target's own, and one of each type: equal, before and after a change."""
    source = ", ".join(f'"{name}" {declared}' for name, (declared, *_) in COLUMNS.items())
    values = ", ".join(value for _, value, *_ in COLUMNS.values())
    pair = make_pair(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {source}); INSERT INTO t VALUES (1, {values})")
    target = ", ".join(f'"{name}" {type_sql}' for name, (_, _, type_sql, _) in reversed(COLUMNS.items()))
    pair.execute(
        TYPES, f"CREATE TABLE t (own text DEFAULT 'x', {target}, id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)"
    )
    assert {finding.code for finding in findings(pair, "blocking", "warning")} == {"naive_time"}
    pair.install()
    pair.sync()
    pair.write(f"INSERT INTO t VALUES (2, {values})")
    pair.sync()
    assert pair.verify().equal
    names = ", ".join(f'"{name}"::text' for name in COLUMNS)
    with pair.database.connect() as connection:
        connection.execute(b"SET TimeZone = 'UTC'")
        rows = connection.execute(f"SELECT {names} FROM t ORDER BY id".encode()).fetchall()
    assert [dict(zip(COLUMNS, row, strict=True)) for row in rows] == [{k: v[3] for k, v in COLUMNS.items()}] * 2


@pytest.mark.parametrize(
    ("column", "value", "type_sql"),
    [
        ("INTEGER", "40000", "smallint"),
        ("INTEGER", "3000000000", "integer"),
        ("INTEGER", "2", "boolean"),
        ("TEXT", "'abc'", "varchar(2)"),
        ("TEXT", "'abcd'", "short"),
        ("TEXT", "NULL", "text NOT NULL"),
        ("INTEGER", "NULL", "percent_of_all"),
        ("REAL", "1.005", "numeric(5,2)"),
        ("TEXT", "'2024-01-02T03:04:05+02:00'", "timestamp"),
        ("TEXT", "'not json'", "jsonb"),
    ],
)
def test_a_value_the_target_has_no_room_for_is_found_before_install(
    make_pair: Make, column: str, value: str, type_sql: str
) -> None:
    """`check` and the dry run convert with the target's types and NOT NULLs: one warning, with count and key."""
    pair = make_pair(f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {column}); INSERT INTO t VALUES (7, {value})")
    pair.execute(TYPES, f"CREATE TABLE t (id bigint PRIMARY KEY, v {type_sql})")
    found = findings(pair, "blocking", "warning")
    assert [(one.severity, one.table, one.column, one.count, one.sample_keys) for one in found] == [
        ("warning", "t", "v", 1, ("7",))
    ]
    with Context(pair.settings) as context:
        report = dry_run(context, lambda _name, _rows: None)
    assert [(error.table, error.column, error.key) for error in report.kept] == [("t", "v", "7")]


def test_numbers_that_are_to_be_times_block_until_the_format_is_named(make_pair: Make) -> None:
    """Seconds since 1970 and julian days: the finding's fix is the line, and with it the rows arrive."""
    pair = make_pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at INTEGER, day REAL);INSERT INTO t VALUES (1, 1704164645, 2460311.5)"
    )
    pair.execute("CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz, day timestamp)")
    found = findings(pair, "blocking")
    assert [one.code for one in found] == ["wrong_type", "wrong_type"]
    assert '[tables.t.columns]: at = { type = "timestamptz", format = "epoch_s" }' in found[0].fix
    day = {"type": "timestamp", "format": "julian"}
    tables = {"t": {"columns": {"at": {"type": "timestamptz", "format": "epoch_s"}, "day": day}}}
    pair.change_settings(tables=type(pair.settings)(tables=tables).tables)
    assert findings(pair, "blocking", "warning") == []
    pair.install()
    pair.sync()
    assert pair.target("SELECT at = '2024-01-02T03:04:05Z', day = '2024-01-02' FROM t") == [(True, True)]


def test_a_mapping_that_names_another_type_yields_to_the_target(make_pair: Make) -> None:
    """A warning names both; a type that is only the default `plan --write` wrote down is no such mapping."""
    columns = {"a": {"type": "uuid"}, "b": {"type": "bigint"}}
    pair = make_pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER); INSERT INTO t VALUES (1, 'x', 2)",
        tables={"t": {"columns": columns}},
    )
    pair.execute("CREATE TABLE t (id bigint PRIMARY KEY, a text, b integer)")
    assert [(one.code, one.column) for one in findings(pair, "blocking", "warning")] == [("type_of_target", "a")]
    pair.install()
    pair.sync()
    assert pair.target("SELECT * FROM t") == [(1, "x", 2)]


def test_a_column_the_target_computes_is_left_to_it(make_pair: Make) -> None:
    """The source has a plain column there: said as information, and neither copied nor compared."""
    pair = make_pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, twice INTEGER); INSERT INTO t VALUES (1, 2, 5)"
    )
    pair.execute("CREATE TABLE t (id bigint PRIMARY KEY, n bigint, twice bigint GENERATED ALWAYS AS (n * 2) STORED)")
    assert [(one.code, one.column) for one in findings(pair, "info") if one.column] == [("generated", "twice")]
    pair.install()
    pair.sync()
    assert pair.target("SELECT * FROM t") == [(1, 2, 4)]
    assert pair.verify().equal


@pytest.mark.parametrize("database", ["debian"], indirect=True)
def test_a_key_that_the_target_would_equate_is_refused(tmp_path: Path, database: Database) -> None:
    """'a' and 'A' are two rows in SQLite: a collation or type that takes them for one would lose one of them."""
    names = {"by_type": "citext", "by_collation": "text COLLATE caseless"}
    with database.server.admin(database.name) as admin:
        try:
            admin.execute(b"CREATE EXTENSION IF NOT EXISTS citext")
            admin.execute(
                b"CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
            )
        except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile):
            pytest.skip("this PostgreSQL was built without ICU, or has no citext")
    source = "".join(f"CREATE TABLE {name} (id TEXT PRIMARY KEY);" for name in names)
    with Pair(tmp_path, database, source) as pair:
        pair.execute(*(f"CREATE TABLE {name} (id {type_sql} PRIMARY KEY)" for name, type_sql in names.items()))
        found = {one.table: one.code for one in findings(pair, "blocking")}
    assert found == {"by_type": "wrong_type", "by_collation": "equal_keys"}


def test_a_plan_takes_the_types_that_are_there(cli: Cli, database: Database) -> None:
    """No proposal for a column of another type, no DDL for a table in place; `check` has nothing to say of the file."""
    connection = sqlite3.connect(cli.cwd / "app.db")
    connection.executescript(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, n INTEGER); CREATE TABLE u (id INTEGER, a_id TEXT);"
        "INSERT INTO t VALUES (1, '0b7e5f10-6c1c-4b7e-9d62-3a8f0c2b1d11', '0b7e5f10-6c1c-4b7e-9d62-3a8f0c2b1d11', 1);"
        "INSERT INTO u VALUES (1, '0b7e5f10-6c1c-4b7e-9d62-3a8f0c2b1d11')"
    )
    connection.close()
    with database.connect() as target:
        target.execute(b"CREATE TABLE t (id int PRIMARY KEY, a varchar(36), b uuid, n boolean)")
    assert 'CREATE TABLE "public"."t"' not in cli("plan", "--source", "app.db").out
    cli("plan", "--write", "cdcsync.toml", "--source", "app.db")
    mapping = tomllib.loads((cli.cwd / "cdcsync.toml").read_text())["tables"]
    assert mapping["t"]["columns"] == {"id": "integer", "a": "varchar(36)", "b": "uuid", "n": "boolean"}
    assert mapping["u"]["columns"]["a_id"] == "uuid"
    said = cli("check", "--json").json["findings"]
    assert [one for one in said if one["severity"] != "info" and one["code"] != "no_wal"] == []
