"""Every line of a mapping has its effect, and comes back the same from `plan --write`."""

from __future__ import annotations

import re
import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.findings import checked

from cdcsync.core.mapping_file import Evidence, Proposal, mapping_text
from cdcsync.core.plan import table_plans
from cdcsync.edges.schema import read_schema
from cdcsync.words.errors import UsageError
from cdcsync.words.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, n INTEGER, at TEXT, note TEXT);
CREATE TABLE left_out (id INTEGER PRIMARY KEY);
INSERT INTO t VALUES (7, 'a', 5, '2024-01-01', 'x');
"""
LINES: dict[str, Any] = {
    "t": {
        "target": "the other",
        "key": ["code"],
        "columns": {
            "id": {"type": "bigint", "identity": False},
            "code": {"type": "varchar(9)", "target": "Code"},
            "n": {"type": "integer", "not_null": True, "default": "42", "check": '"n" > 3', "identity": False},
            "at": {"type": "timestamptz", "format": "iso", "naive": "utc", "on_finer": "truncate"},
            "note": {"skip": True},
        },
    },
    "left_out": {"skip": True},
}


def _round_trip(schema: str, tables: dict[str, Any]) -> tuple[Any, Any, str]:
    """Return the plans of a mapping, and those of the file that is written for it."""
    settings = Settings(source=Path("app.db"), tables=tables)
    with closing(sqlite3.connect(":memory:")) as source:
        source.executescript(schema)
        plans = table_plans(read_schema(source), settings, {})
        text = mapping_text(settings, {}, plans, Evidence({}, {}, {}), {}, beside=None, target="")
        return plans, table_plans(read_schema(source), Settings(**tomllib.loads(text)), {}), text


def test_every_line_has_its_effect(make_pair: Make) -> None:
    """Target, key, type, default, check, NOT NULL, identity and skip, as the built table shows them."""
    pair = make_pair(SCHEMA, tables=LINES)
    assert pair.install().not_carried == []
    pair.sync()
    assert pair.target('SELECT id, "Code", n, at::text FROM "the other"') == [(7, "a", 5, "2024-01-01 00:00:00+00")]
    described = pair.target(
        "SELECT column_name, data_type, is_nullable, column_default, is_identity FROM information_schema.columns"
        " WHERE table_name = 'the other' ORDER BY ordinal_position"
    )
    assert described == [
        ("id", "bigint", "NO", None, "NO"),
        ("Code", "character varying", "NO", None, "NO"),
        ("n", "integer", "NO", "42", "NO"),
        ("at", "timestamp with time zone", "YES", None, "NO"),
    ]
    assert pair.target("SELECT to_regclass('left_out')") == [(None,)]
    constraints = """SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = '"the other"'::regclass"""
    assert {definition for (definition,) in pair.target(constraints)} >= {'UNIQUE ("Code")', "CHECK ((n > 3))"}
    assert pair.verify().equal


def test_an_identity_can_be_asked_for(make_pair: Make) -> None:
    """A column that is no INTEGER PRIMARY KEY becomes one on request, and one that is need not be."""
    columns = {"id": {"type": "bigint", "identity": False}, "n": {"type": "bigint", "identity": True, "not_null": True}}
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)", tables={"t": {"columns": columns}})
    pair.install()
    found = "SELECT column_name, is_identity FROM information_schema.columns WHERE table_name = 't' ORDER BY 1"
    assert pair.target(found) == [("id", "NO"), ("n", "YES")]


def test_every_line_comes_back_from_the_written_file() -> None:
    """Nothing that was said is lost, and nothing is added to it."""
    plans, again, text = _round_trip(SCHEMA, LINES)
    assert again == plans
    assert tomllib.loads(text)["tables"] == LINES | {
        "t": LINES["t"] | {"columns": LINES["t"]["columns"] | {"code": {"type": "varchar(9)", "target": "Code"}}}
    }


_texts = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12))
_names = st.sampled_from(["v", 'a"b', "a\tb", "a\\b", "é.ü", "'", "#", "x = 1"])
_mappings = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "varchar(3)", "timestamptz", "uuid", "numeric(12,3)", "jsonb", "bytea"])},
    optional={
        "target": st.sampled_from(["x", 'a "b"', "\x7f", "a\nb", "面"]),
        "not_null": st.booleans(),
        "default": _texts,
        "check": _texts,
        "skip": st.just(value=False),
    },
)


@hypothesis_settings(max_examples=60, deadline=None, database=None)
@given(_mappings, _names, st.sampled_from(["", "odd\ntype"]))
def test_any_mapping_comes_back_from_the_written_file(mapping: dict[str, Any], column: str, declared: str) -> None:
    """Whatever characters names, defaults and declared types are made of, the file is TOML and says the same."""
    quoted, told = (f'"{name}"'.replace('a"b', 'a""b') for name in (column, declared))
    schema = f"CREATE TABLE {quoted} (id INTEGER PRIMARY KEY, {quoted} {told if declared else ''})"
    plans, again, _ = _round_trip(schema, {column: {"columns": {column: mapping}}})
    assert again == plans


def test_a_foreign_key_takes_type_and_format_from_its_parent_through_every_table_between() -> None:
    """A key that is a foreign key itself hands its parent's type on; what the mapping says of a child stands."""
    schema = """
        CREATE TABLE c (id INTEGER PRIMARY KEY, b_id TEXT REFERENCES b (id), mine TEXT REFERENCES a (id));
        CREATE TABLE b (id TEXT PRIMARY KEY REFERENCES a (id));
        CREATE TABLE a (id TEXT PRIMARY KEY, up TEXT REFERENCES a (id));
    """
    tables = {"a": {"columns": {"id": {"type": "uuid", "format": "hex"}}}, "c": {"columns": {"mine": "varchar(32)"}}}
    plans, again, _ = _round_trip(schema, tables)
    assert again == plans
    found = {(plan.name, column.source): (column.type_sql, column.format) for plan in plans for column in plan.columns}
    alike = [("a", "id"), ("a", "up"), ("b", "id"), ("c", "b_id")]
    assert [found[place] for place in alike] == [("uuid", "hex")] * 4
    assert found["c", "mine"] == ("character varying(32)", "iso")


def test_a_proposed_uuid_keeps_the_form_it_was_found_in() -> None:
    """CHAR(32) stands for digits without hyphens; where the values have them, the proposed line says so."""
    with closing(sqlite3.connect(":memory:")) as source:
        source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v CHAR(32))")
        settings = Settings(source=Path("app.db"))
        plans = table_plans(read_schema(source), settings, {})
        proposals = {("t", "v"): Proposal("uuid", "9 of 9 values are UUIDs")}
        text = mapping_text(settings, {}, plans, Evidence({}, proposals, {}), {}, beside=None, target="")
    assert tomllib.loads(text)["tables"]["t"]["columns"]["v"] == {"type": "uuid", "format": "hyphens"}


def test_a_time_in_a_key_of_the_mapping_stays_text() -> None:
    """As in a primary key: two spellings of one moment are two rows."""
    (plan,), _, _ = _round_trip("CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME UNIQUE)", {"t": {"key": ["at"]}})
    assert [(column.type_sql, column.not_null) for column in plan.columns] == [("bigint", True), ("text", True)]


@pytest.mark.parametrize(
    ("tables", "why"),
    [
        ({"t": {"key": ["n"]}}, "no primary key or unique index"),
        ({"t": {"columns": {"id": {"skip": True}}}}, "without its key"),
        ({"t": {"columns": {"nothing": "text"}}}, "no column 'nothing'"),
    ],
)
def test_a_line_that_would_lose_rows_is_refused(tables: dict[str, Any], why: str) -> None:
    """A key that is not unique, a key left out, a column that is not there."""
    with pytest.raises(UsageError, match=why):
        _round_trip(SCHEMA, tables)


def test_what_plan_writes_keeps_skip_false_and_a_state_dir_that_lies_beside_it(tmp_path: Path) -> None:
    """Both were said; a file that is moved with its folder still finds its state."""
    tables = {"django_migrations": {"skip": False}}
    settings = Settings(source=tmp_path / "app.db", state_dir=tmp_path / "of mine", tables=tables)
    with closing(sqlite3.connect(":memory:")) as source:
        source.execute("CREATE TABLE django_migrations (id INTEGER PRIMARY KEY)")
        plans = table_plans(read_schema(source), settings, {})

    def written(folder: Path, origin: str = "option") -> dict[str, Any]:
        beside, evidence = folder / "cdcsync.toml", Evidence({}, {}, {})
        text = mapping_text(settings, {"state_dir": origin}, plans, evidence, {}, beside=beside, target="")
        return tomllib.loads(text)

    assert written(tmp_path)["tables"]["django_migrations"]["skip"] is False
    assert written(tmp_path)["state_dir"] == written(tmp_path, "some.toml")["state_dir"] == "of mine"
    assert written(tmp_path / "elsewhere", "some.toml")["state_dir"] == str(tmp_path / "of mine")
    assert "state_dir" not in written(tmp_path, "default")


@pytest.mark.parametrize("name", ['odd "t".x', "a b"])
def test_advice_names_tables_as_a_settings_file_must(make_pair: Make, name: str) -> None:
    """Every heading in a finding's fix can be pasted."""
    quoted = name.replace('"', '""')
    pair = make_pair(f'CREATE TABLE "{quoted}" (id INTEGER PRIMARY KEY, a POINT, ctid TEXT, x TEXT, "_cdcsync_y");')
    pair.execute(f'CREATE TABLE "{quoted}" (id bigint PRIMARY KEY, a text, c text, z text NOT NULL)')
    headings = [heading for one in checked(pair) for heading in re.findall(r"\[tables[^]]*\]", one.fix)]
    assert headings
    assert {next(iter(tomllib.loads(heading)["tables"])) for heading in headings} == {name}
