"""Traps A1 to A6: whatever a statement does to a row, its key is in the changelog, and the statement ends as ever."""

from __future__ import annotations

import pytest
from support.oracle import Watched


@pytest.mark.parametrize(
    "table",
    [
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE, v)",
        "CREATE TABLE t (id TEXT PRIMARY KEY, u UNIQUE, v)",
        "CREATE TABLE t (id TEXT PRIMARY KEY, u UNIQUE, v) WITHOUT ROWID",
        "CREATE TABLE t (id INTEGER PRIMARY KEY DESC, u UNIQUE ON CONFLICT REPLACE, v)",
        "CREATE TABLE t (id INT PRIMARY KEY ON CONFLICT REPLACE, u UNIQUE, v)",
        "CREATE TABLE t (id NOT NULL UNIQUE ON CONFLICT REPLACE, u UNIQUE ON CONFLICT REPLACE, v)",
    ],
)
def test_a1_replace_in_a_statement_or_in_the_schema_logs_its_victims(table: str) -> None:
    """REPLACE deletes rows without firing their DELETE triggers, by each unique index and by the key."""
    with Watched(table) as database:
        database.run(
            "INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c'), (4, 40, 'd')",
            "INSERT OR REPLACE INTO t VALUES (5, 10, 'e')",
            "REPLACE INTO t VALUES (2, 30, 'f')",
            "UPDATE OR REPLACE t SET u = 40 WHERE id = 5",
            "UPDATE OR REPLACE t SET id = 2 WHERE id = 5",
            "INSERT INTO t VALUES (2, 50, 'g')",
            "UPDATE t SET u = 50",
        )


def test_a1_each_of_several_unique_indexes_has_its_own_victim() -> None:
    """One row may displace as many others as there are unique indexes."""
    with Watched("CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE, b UNIQUE, c, d, UNIQUE (c, d))") as database:
        database.run(
            "INSERT INTO t VALUES (1, 1, 0, 0, 0), (2, 2, 1, 0, 1), (3, 3, 3, 1, 1), (4, 4, 4, 4, 4)",
            "REPLACE INTO t VALUES (4, 1, 1, 1, 1)",
        )
        assert database.rows("SELECT id FROM t") == [(4,)]


@pytest.mark.parametrize("key", ["id TEXT PRIMARY KEY", "id INT PRIMARY KEY", "id NOT NULL UNIQUE"])
def test_a1_a_hidden_rowid_that_moves_onto_another_row_logs_the_victim(key: str) -> None:
    """A table with another primary key can lose a row by its rowid too."""
    with Watched(f"CREATE TABLE t ({key}, v)") as database:
        database.run(
            "INSERT INTO t (rowid, id) VALUES (1, 1), (2, 2), (3, 3)",
            "UPDATE OR REPLACE t SET rowid = 2 WHERE id = 1",
            "REPLACE INTO t (rowid, id) VALUES (2, 4)",
            "UPDATE OR REPLACE t SET _rowid_ = oid + 1",
        )
        assert database.rows("SELECT CAST(id AS INT), rowid FROM t") == [(4, 4)]


@pytest.mark.parametrize(
    ("column", "index"),
    [("u TEXT", "u COLLATE NOCASE"), ("u TEXT COLLATE NOCASE", "u COLLATE BINARY"), ("u TEXT", "u COLLATE RTRIM DESC")],
)
def test_a1_the_indexes_own_collation_decides_who_collides(column: str, index: str) -> None:
    """It can differ from the column's, in both directions."""
    with Watched(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, {column})", f"CREATE UNIQUE INDEX i ON t ({index})"
    ) as database:
        database.run(
            "INSERT OR REPLACE INTO t VALUES (1, 'a'), (2, 'b '), (3, 'c')",
            "INSERT OR REPLACE INTO t VALUES (4, 'A'), (5, 'b'), (6, 'C ')",
            "UPDATE OR REPLACE t SET u = 'c' WHERE id = 5",
        )


@pytest.mark.parametrize(
    "index",
    [
        "(email) WHERE active = 1",
        "(email) WHERE active AND other IS NOT NULL",
        "(lower(email)) WHERE active = 1",
        "(lower(email)) WHERE t.active = '1'",
        "(coalesce(email, other), active)",
        "(email COLLATE NOCASE) WHERE other > active",
        "(email) WHERE rowid > 1",
    ],
)
@pytest.mark.parametrize("key", ["id INTEGER PRIMARY KEY", "id TEXT PRIMARY KEY"])
def test_a1_a_row_that_enters_a_partial_index_logs_its_victim(key: str, index: str) -> None:
    """It takes another's place there although no indexed column changed."""
    table = f"CREATE TABLE t ({key}, email TEXT, active INT, other INT)"
    with Watched(table, f"CREATE UNIQUE INDEX u ON t {index}") as database:
        database.run(
            "INSERT OR REPLACE INTO t VALUES (1, 'a', 1, 5), (2, 'a', 0, NULL), (3, 'a', 0, NULL), (4, NULL, 0, 1)"
        )
        for change in ("active = 1", "other = 5", "active = 1, other = 5", "active = 0", "other = NULL", "rowid = 9"):
            database.run(*(f"UPDATE OR REPLACE t SET {change} WHERE id = {number}" for number in (2, 3, 1, 4)))


# Affinity and collation of the columns decide; NEW.x has neither of them where SQLite computes.
EXPRESSIONS = (
    *("lower(a)", "a || b", "a = '1'", "b = 1", "a < b", "c < b", "c = a", "a IN ('1', 2)", "b BETWEEN 0 AND '2'"),
    *("CASE a WHEN '1' THEN b END", "CASE WHEN b = 1 THEN a END", "nullif(a, '1')", "max(c, '1')", "typeof(c)"),
    *("coalesce(b, c)", "c COLLATE NOCASE = b", "a IS '1'", "iif(b = 1, c, a)", "(a, b) = ('1', 1)", "x = 'A'"),
    *("b = 'A' COLLATE NOCASE", "b || x COLLATE BINARY DESC", "lower(b) COLLATE NOCASE"),
)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a1_an_index_on_an_expression_compares_as_stored_columns_do(expression: str) -> None:
    """1 = '1' in a column of INTEGER affinity, and TRUE for nobody else."""
    with Watched(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b TEXT, c, x TEXT COLLATE NOCASE)",
        f"CREATE UNIQUE INDEX u ON t ({expression})",
    ) as database:
        rows = (
            "1, '1', 1, 'a'",
            "'1', 1, '1', 'A'",
            "2, 'b', 'B', 'b'",
            "x'31', x'31', x'31', x'61'",
            "NULL, 5, 5, NULL",
        )
        for number in range(3):
            database.run(*(f"INSERT OR REPLACE INTO t VALUES ({number}, {row})" for row in rows))
        for row in rows:
            a, b, c, x = row.split(", ")
            database.run(f"UPDATE OR REPLACE t SET a = {a}, b = {b}, c = {c}, x = {x} WHERE id = 1")


OPERATORS = ("a || b", "a || '--' || b", "a ->> '$.x'", "a <= b", "a == b", "a <> b", "a << 2", "a != b", "1e3 + a")


@pytest.mark.parametrize("expression", OPERATORS)
def test_a1_an_index_on_an_expression_keeps_its_operators(expression: str) -> None:
    """Operators of two and three characters are one token: the trigger holds the expression as it was written."""
    with Watched(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT)", f"CREATE UNIQUE INDEX u ON t ({expression})"
    ) as database:
        database.run("INSERT INTO t VALUES (1, '{}', 'b')", "INSERT OR REPLACE INTO t VALUES (2, '{}', 'b')")
        database.run("UPDATE OR REPLACE t SET a = '{\"x\": 1}' WHERE id = 2")


@pytest.mark.parametrize("declared", ["INT", "TEXT", "REAL", "NUMERIC", ""])
@pytest.mark.parametrize("default", ["1", "'1'", "1.0", "'1.0'", "x'31'", "'a'", "(1 + 0)", "9007199254740993"])
@pytest.mark.parametrize("index", ["(c)", "(c, d)", "(typeof(c))", "(c || '')", "(c = '1')", "(g)", "(lower(g))"])
def test_a1_an_explicit_null_that_becomes_the_default_logs_who_held_its_place(
    declared: str, default: str, index: str
) -> None:
    """It does so after the BEFORE trigger, and with the storage class the column's affinity gives it."""
    with Watched(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, c {declared} NOT NULL DEFAULT {default}, d DEFAULT 5, g AS (c || 1))",
        f"CREATE UNIQUE INDEX u ON t {index}",
    ) as database:
        database.run(
            "INSERT INTO t (id) VALUES (1)",
            "INSERT OR REPLACE INTO t (id, c) VALUES (2, NULL)",
            "INSERT OR REPLACE INTO t (id, c) VALUES (3, NULL), (4, NULL)",
            "INSERT OR REPLACE INTO t (id, c) VALUES (5, 'other')",
            "UPDATE OR REPLACE t SET c = NULL WHERE id = 5",
        )
        assert database.rows("SELECT id FROM t") == [(5,)]


def test_a1_a_default_nobody_can_foresee_logs_every_row_that_could_be_in_its_way() -> None:
    """random() gives the trigger another value than the row."""
    with Watched("CREATE TABLE t (id INTEGER PRIMARY KEY, c NOT NULL DEFAULT (random() & 0) UNIQUE)") as database:
        database.run("INSERT INTO t (id) VALUES (1)", "INSERT INTO t VALUES (2, 5)")
        before = database.entries()
        database.run("INSERT OR REPLACE INTO t VALUES (3, NULL)")
        assert database.entries() == before + 3


def test_a1_an_automatic_rowid_is_logged_once_it_is_known() -> None:
    """It is -1 before the insert: who has the rowid -1 gets an entry too many, and the new row its own."""
    with Watched("CREATE TABLE t (id INTEGER PRIMARY KEY, v)") as database:
        database.run(
            "INSERT INTO t VALUES (-1, 'a')",
            "INSERT INTO t (v) VALUES ('b')",
            "INSERT INTO t VALUES (NULL, 'c'), (NULL, 'd')",
            "INSERT INTO t DEFAULT VALUES",
        )


GENERATED = (
    *(
        "g TEXT AS (lower(a)) STORED UNIQUE",
        "g TEXT AS (lower(a)) VIRTUAL UNIQUE",
        "g TEXT AS (lower(a)), UNIQUE (g, b)",
    ),
    *("g INT AS (b || '') UNIQUE", "g REAL AS (b) UNIQUE", "g AS (b = '1') UNIQUE", "g BLOB AS (a || b) STORED UNIQUE"),
    *("f INT AS (b || ''), g TEXT AS (f + 1) UNIQUE", "g TEXT AS (f || 'x') UNIQUE, f INT AS (b = '1') STORED"),
    *("g TEXT COLLATE NOCASE AS (a), h AS (g = 'A') UNIQUE",),
)


@pytest.mark.parametrize("generated", GENERATED)
def test_a1_a_unique_index_on_a_generated_column_logs_its_victims(generated: str) -> None:
    """Generated columns are NULL in BEFORE triggers: their expressions are computed from the arriving row."""
    with Watched(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT 'A', b INT, {generated})"
    ) as database:
        rows = ("'a', 1", "'A', '1'", "'b', 2", "NULL, 1", "x'61', x'31'", "'a', 1.5", "'B', 9007199254740993")
        for number in range(3):
            database.run(*(f"INSERT OR REPLACE INTO t (id, a, b) VALUES ({number}, {row})" for row in rows))
        database.run(*(f"UPDATE OR REPLACE t SET (a, b) = ({row}) WHERE id = 2" for row in rows))
        database.run("UPDATE OR REPLACE t SET b = b + 1", "UPDATE OR REPLACE t SET a = upper(a)")


def test_a2_a_rowid_that_is_set_moves_the_key() -> None:
    """AFTER UPDATE OF id would not fire for SET rowid."""
    with Watched("CREATE TABLE t (id INTEGER PRIMARY KEY, v)") as database:
        database.run("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "UPDATE t SET rowid = 5 WHERE id = 1")
        database.run("UPDATE OR REPLACE t SET _rowid_ = 2 WHERE oid = 5", "UPDATE t SET id = '7', v = 'c'")
        assert database.rows("SELECT id FROM t") == [(7,)]


@pytest.mark.parametrize(
    ("key", "spellings"),
    [
        ("TEXT PRIMARY KEY COLLATE NOCASE", ("'Ab'", "'AB'", "'ab'")),
        ("TEXT PRIMARY KEY COLLATE RTRIM", ("'a'", "'a '", "'a  '")),
        ("PRIMARY KEY", ("1", "1.0", "'1'", "x'31'", "1")),
        ("PRIMARY KEY COLLATE NOCASE", ("'a'", "'A'", "x'61'", "x'41'")),
    ],
)
@pytest.mark.parametrize("options", ["", " WITHOUT ROWID"])
def test_a3_a_key_that_changes_only_its_case_or_class_is_logged_under_both_names(
    key: str, spellings: tuple[str, ...], options: str
) -> None:
    """The column's own collation, and equality of values, would call it the same key."""
    with Watched(f"CREATE TABLE t (id {key}, v){options}") as database:
        database.run(f"INSERT INTO t VALUES ({spellings[0]}, 1)")
        database.run(*(f"UPDATE t SET id = {spelling}" for spelling in spellings))
        database.run(*(f"INSERT OR REPLACE INTO t VALUES ({spelling}, 2)" for spelling in spellings))


def test_a4_an_outer_conflict_clause_drops_no_entry() -> None:
    """INSERT OR IGNORE reaches into trigger bodies: the changelog has no constraint it could apply there."""
    with Watched("CREATE TABLE t (id TEXT PRIMARY KEY, v)") as database:
        for clause in ("IGNORE", "REPLACE", "FAIL", "ABORT", "ROLLBACK"):
            database.run(f"INSERT OR {clause} INTO t VALUES (NULL, 1)", f"UPDATE OR {clause} t SET v = 2")
        (declared,) = database.rows("SELECT sql FROM sqlite_master WHERE name = '_cdcsync_log'")[0]
        assert declared == "CREATE TABLE _cdcsync_log (seq INTEGER PRIMARY KEY, tbl, at, k1)"


@pytest.mark.parametrize("key", ["id TEXT PRIMARY KEY", "id INTEGER PRIMARY KEY DESC", "id INT PRIMARY KEY"])
def test_a5_a_primary_key_that_may_hold_nulls_is_logged_with_them(key: str) -> None:
    """Such a key is no alias of the rowid, and several rows may have the same one."""
    with Watched(f"CREATE TABLE t ({key}, v)") as database:
        database.run(
            "INSERT INTO t VALUES (NULL, 1), (NULL, 2), (3, 3)",
            "UPDATE t SET v = 4 WHERE id IS NULL",
            "UPDATE t SET id = NULL WHERE v = 3",
            "UPDATE t SET id = 5 WHERE v = 3",
            "DELETE FROM t WHERE id IS NULL",
        )


@pytest.mark.parametrize("taken", ["rowid", "rowid, _rowid_", "rowid, _rowid_, oid"])
@pytest.mark.parametrize("key", ["id TEXT PRIMARY KEY", "id INTEGER PRIMARY KEY", "id INT NOT NULL UNIQUE"])
def test_a6_columns_may_take_every_name_of_the_rowid(key: str, taken: str) -> None:
    """rowid, _rowid_ and oid can all be shadowed; what is left of them still finds victims."""
    with Watched(f"CREATE TABLE t ({key}, {taken}, u UNIQUE)") as database:
        same = ", ".join("7" for _ in taken.split(","))
        database.run(
            f"INSERT INTO t VALUES (1, {same}, 'a'), (2, {same}, 'b'), (3, {same}, 'c')",
            f"INSERT OR REPLACE INTO t VALUES (1, {same}, 'b')",
            "UPDATE OR REPLACE t SET id = 3 WHERE u = 'b'",
            "UPDATE t SET rowid = 8",
            "DELETE FROM t",
        )
