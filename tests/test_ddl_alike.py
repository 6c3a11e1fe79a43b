"""Whatever is carried means the same: generated expressions, defaults and unique indexes, judged by both databases."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql
from support.ddl import SAMPLE, SAMPLE_TYPES, arrived, build, execute, mapping, on_both_sides, sample, texts
from support.ddl_expressions import expressions

from cdcsync.core.plan import table_plans
from cdcsync.core.sqltext.refusal import UntranslatableError
from cdcsync.core.sqltext.translate import translate
from cdcsync.edges.schema import read_schema

if TYPE_CHECKING:
    import psycopg

    from cdcsync.core.sqltext.terms import Term

COMPARED = {"boolean", "integer", "numeric", "float", "text", "bytea"}
"""Kinds whose values both drivers hand over alike."""


def examples(*, full: bool, few: int, many: int) -> settings:
    """Return settings without shrinking, which would ask the databases for minutes; few are always the same."""
    slow = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    phases = [Phase.generate]
    count = many if full else few
    return settings(max_examples=count, derandomize=not full, deadline=None, suppress_health_check=slow, phases=phases)


def plain(value: Any) -> Any:
    """Return a value so that those of both drivers compare: a number is a number."""
    return float(value) if isinstance(value, bool | int | Decimal) else value


def truth_of(term: Term, value: Any) -> Any:
    """Return a value of SQLite's as what the term says it is."""
    return float(bool(value)) if term.kind == "boolean" and isinstance(value, int | float) else value


def test_expressions_have_the_same_values(postgres: psycopg.Connection, *, full: bool) -> None:
    """An expression that is translated has the same value in every row on both sides."""
    source, scope = on_both_sides(postgres)

    @examples(full=full, few=250, many=20_000)
    @given(expressions())
    def compare(text: str) -> None:
        with suppress(UntranslatableError, sqlite3.OperationalError):
            there = [value for (value,) in source.execute(f"SELECT ({text}\n) FROM s ORDER BY k")]
            term = translate(text, scope)
            query = sql.SQL("SELECT ALL {} FROM s ORDER BY k").format(term.code)
            here = [value for (value,) in postgres.execute(query)]
            if term.kind in COMPARED:
                wanted = [plain(truth_of(term, value)) for value in there]
                assert (text, [plain(value) for value in here]) == (text, wanted)

    compare()
    source.close()


TYPES = ["INTEGER", "TEXT", "REAL", "NUMERIC", "DECIMAL(10,2)", "BOOLEAN", "BLOB", "VARCHAR(9)", "DATE", "JSON"]
CONSTANTS = ["1", "-1", "0", "1.0", "-2.5", "1e3", "0x1F", "'1'", "'1.0'", "' 7 '", "'a''b'", '"b"', "x'00ff'", "TRUE"]
CONSTANTS += ["false", "NULL", "''", "'é'", "+5", "9223372036854775807", "9223372036854775808", "'1e2'", "'\\'", "abc"]
COMPUTED = ["1 + 2", "'a' || 'b'", "lower('ABC')", "-(-5)", "2 * 3.5", "upper('x') || 1", "7 / 2", "abs(-3)", "1 = 1"]
COMPUTED += ["coalesce(NULL, 'x')", "length('abc')", "CASE WHEN 1 THEN 'y' END", "json('{}')", "hex(x'ab')"]
DEFAULTS = st.one_of(st.sampled_from(CONSTANTS), st.sampled_from(COMPUTED).map("({})".format))


def test_defaults_give_the_same_values(postgres: psycopg.Connection, *, full: bool) -> None:
    """A row without values is in PostgreSQL what the same row of SQLite's would have become on its way there."""

    @examples(full=full, few=25, many=500)
    @given(st.lists(st.tuples(st.sampled_from(TYPES), DEFAULTS), min_size=12, max_size=12))
    def compare(columns: list[tuple[str, str]]) -> None:
        listed = ", ".join(f"c{place} {declared} DEFAULT {text}" for place, (declared, text) in enumerate(columns))
        script = f"CREATE TABLE d ({listed})"
        built = build(script)
        postgres.execute("DROP TABLE IF EXISTS d")
        execute(postgres, built)
        carried = [statement.name for statement in built[0] if statement.phase == "default"]
        lacking = {left.what.split()[2].rstrip(":") for left in built[1]}
        with sqlite3.connect(":memory:") as source:
            source.execute(script)
            plan = table_plans(read_schema(source), mapping({}), {})[0]
            source.execute("INSERT INTO d DEFAULT VALUES")
            # SQLite 3.40 may answer RETURNING with the same constant of another column.
            row = source.execute("SELECT * FROM d").fetchone()
        source.close()
        for column, value in zip(plan.columns, row, strict=True):
            assert column.target in {*carried, *lacking} or value is None
            if column.target in carried:
                single = type(plan)(plan.table, plan.target, (column,), ())
                query = f"SELECT %s::{column.type_sql}::text"
                wanted = postgres.execute(query, arrived(single, (value,))).fetchone()
                query = f"INSERT INTO d DEFAULT VALUES RETURNING {column.target}::text"
                assert (script, column.target, postgres.execute(query).fetchone()) == (script, column.target, wanted)

    compare()


TERMS = ["t", "n", "v", "i", "b", "u", "d", "ts", "x", "t COLLATE NOCASE", "n COLLATE BINARY", "t COLLATE RTRIM DESC"]
TERMS += ["lower(t)", "upper(n)", "i + 1", "coalesce(t, '')", "length(t)", "i % 2", "trim(v)", "t || i", "abs(i) DESC"]
CONDITIONS = ["", "", " WHERE i > 0", " WHERE t IS NOT NULL", " WHERE n = 'ABC'", " WHERE b", " WHERE t LIKE 'a%'"]


def test_unique_indexes_refuse_the_same_rows(postgres: psycopg.Connection, *, full: bool) -> None:
    """A unique index takes and refuses in PostgreSQL the rows it takes and refuses in SQLite."""
    source, plan, _ = sample()
    rows = source.execute("SELECT * FROM s").fetchall()
    source.close()
    values = ", ".join(f"%s::{column.type_sql}" for column in plan.columns)

    @examples(full=full, few=25, many=500)
    @given(st.lists(st.sampled_from(TERMS), min_size=1, max_size=2), st.sampled_from(CONDITIONS), st.permutations(rows))
    def compare(terms: list[str], where: str, order: list[tuple[Any, ...]]) -> None:
        script = f"{SAMPLE}; CREATE UNIQUE INDEX u ON s ({', '.join(terms)}){where}"
        built = build(script, s={"columns": SAMPLE_TYPES})
        assert len(texts(built, "unique")) == 1
        postgres.execute("DROP TABLE IF EXISTS s")
        execute(postgres, built)
        source = sqlite3.connect(":memory:")
        source.executescript(script)
        for row in order:
            marks = ", ".join("?" * len(row))
            there = source.execute(f"INSERT OR IGNORE INTO s VALUES ({marks})", row).rowcount
            here = postgres.execute(f"INSERT INTO s VALUES ({values}) ON CONFLICT DO NOTHING", arrived(plan, row))
            assert (script, row, here.rowcount) == (script, row, there)
        source.close()

    compare()
