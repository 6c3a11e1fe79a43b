"""Policies of a column for NUL, bad UTF-8 and too many decimals: on every road, and never in a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.pair import MANY

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

# Type, policies, SQL of the source's value, what PostgreSQL shows.
KEPT: dict[str, tuple[str, dict[str, str], str, str]] = {
    "strip NUL": ("text", {"on_nul": "strip"}, "'a' || char(0) || 'b' || char(0)", "ab"),
    "escape NUL": ("text", {"on_nul": "escape"}, "'a' || char(0) || 'b'", r"a\x00b"),
    "strip bytes": ("text", {"on_bad_utf8": "strip"}, "CAST(x'61ff62c0' AS TEXT)", "ab"),
    "escape bytes": ("text", {"on_bad_utf8": "escape"}, "CAST(x'61ffe28262' AS TEXT)", r"a\xff\xe2\x82b"),
    "both": ("varchar(9)", {"on_nul": "escape", "on_bad_utf8": "strip"}, "CAST(x'6100ff62' AS TEXT)", r"a\x00b"),
    "strip in jsonb": ("jsonb", {"on_nul": "strip"}, """'{"a\\u0000": "\\\\u0000"}'""", r'{"a": "\\u0000"}'),
    "escape in jsonb": ("jsonb", {"on_nul": "escape"}, """'["a\\u0000b"]'""", r'["a\\x00b"]'),
    "bytes in json": ("json", {"on_bad_utf8": "escape"}, "CAST(x'2261ff22' AS TEXT)", r'"a\\xff"'),
    "cut decimals": ("timestamptz", {"on_finer": "truncate"}, "'2024-01-01T00:00:00.9999999Z'",
                     "2024-01-01 00:00:00.999999+00"),
    "cut before 1970": ("timestamp(0)", {"on_finer": "truncate", "format": "epoch_s"}, "-0.5", "1969-12-31 23:59:59"),
    "cut a time": ("time(1)", {"on_finer": "truncate"}, "'12:00:00.99'", "12:00:00.9"),
}  # fmt: skip


def _make(make_pair: Make, type_sql: str, policies: dict[str, str], schema: str) -> Pair:
    column: dict[str, Any] = {"type": type_sql, **policies}
    pair = make_pair(schema, tables={"t": {"columns": {"a": column}}})
    pair.install()
    return pair


@pytest.mark.parametrize("what", KEPT)
def test_a_policy_has_its_effect_on_every_road(make_pair: Make, what: str) -> None:
    """By the copy, row by row and staged, PostgreSQL shows what the policy says, and verify finds it equal."""
    type_sql, policies, value, shown = KEPT[what]
    pair = _make(make_pair, type_sql, policies, "CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
    for road, count in enumerate((1, 1, MANY)):
        pair.write(*(f"INSERT INTO t VALUES ({road * 1000 + n}, {value})" for n in range(count)))
        pair.sync()
    assert pair.target("SELECT DISTINCT a::text, count(*) FROM t GROUP BY 1") == [(shown, MANY + 2)]
    assert pair.verify().equal


REFUSED: dict[str, tuple[str, dict[str, str], str]] = {
    "NUL by default": ("text", {}, "'a' || char(0)"),
    "bytes by default": ("text", {}, "CAST(x'61ff' AS TEXT)"),
    "u0000 by default": ("jsonb", {}, """'"\\u0000"'"""),
    "decimals by default": ("timestamptz", {}, "'2024-01-01 00:00:00.1234569Z'"),
    "the other policy": ("text", {"on_nul": "strip"}, "CAST(x'61ff' AS TEXT)"),
    "stripped names alike": ("jsonb", {"on_nul": "strip"}, """'{"a": 1, "a\\u0000": 2}'"""),
    "escaped too long": ("varchar(5)", {"on_nul": "escape"}, "'ab' || char(0)"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_policy_covers_is_refused(make_pair: Make, what: str) -> None:
    """The default refuses; a policy covers its own case, and never hides that a value is changed in another way."""
    type_sql, policies, value = REFUSED[what]
    pair = _make(make_pair, type_sql, policies, "CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
    pair.write(f"INSERT INTO t VALUES (7, {value})")
    pair.sync()
    assert pair.quarantined() == [("t", "7", "a")]


@pytest.mark.parametrize(
    ("type_sql", "policies", "value"),
    [
        ("text", {"on_nul": "strip"}, "'a' || char(0)"),
        ("text", {"on_nul": "escape"}, "'a' || char(0)"),
        ("text", {"on_bad_utf8": "strip"}, "CAST(x'61ff' AS TEXT)"),
        ("timestamptz", {"on_finer": "truncate"}, "'2024-01-01 00:00:00.1234569'"),
    ],
)
def test_a_policy_never_makes_two_keys_one(
    make_pair: Make, type_sql: str, policies: dict[str, str], value: str
) -> None:
    """In a key the value is refused whatever the policy: what it would become may be another key."""
    pair = _make(make_pair, type_sql, policies, "CREATE TABLE t (a TEXT PRIMARY KEY NOT NULL, v INTEGER)")
    pair.write(f"INSERT INTO t VALUES ({value}, 1)")
    pair.sync()
    assert [(table, column) for table, _, column in pair.quarantined()] == [("t", "a")]


def test_an_overlong_text_names_its_row(make_pair: Make) -> None:
    """A varchar(n) that overflows tells table, key, column and length, not only that something is too long."""
    pair = _make(make_pair, "varchar(3)", {}, "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    pair.insert("t", [(1, "abc"), (2, "abcdef")])
    pair.sync()
    assert pair.quarantined() == [("t", "2", "a")]
    assert "6 characters do not fit character varying(3)" in pair.why()[0]


def test_epoch_milliseconds_arrive_as_moments(make_pair: Make) -> None:
    """Integers of milliseconds, one before 1970 among them, are the times they stand for on every road."""
    pair = _make(make_pair, "timestamptz", {"format": "epoch_ms"}, "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)")
    for road, count in enumerate((1, 1, MANY)):
        pair.insert("t", [(road * 1000 + n, -1) for n in range(count)])
        pair.sync()
    assert pair.target("SELECT DISTINCT a::text FROM t") == [("1969-12-31 23:59:59.999+00",)]
    assert pair.verify().equal
