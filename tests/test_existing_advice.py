"""What `check` advises of tables found in place is done to PostgreSQL or the mapping, and helps there."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from cdcsync.edges.source import Source
from cdcsync.machine.check import check
from cdcsync.machine.context import Context, proposed_plans
from cdcsync.machine.dry_run import dry_run
from cdcsync.machine.existing import outlook
from cdcsync.machine.propose import evidence
from cdcsync.words.errors import RefusedError
from cdcsync.words.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    from cdcsync.words.nouns import Finding

    Make = Callable[..., Pair]


def _findings(pair: Pair) -> list[Finding]:
    with Context(pair.settings) as context:
        return [
            one for one in check(context, lambda _name, _rows: None) if one.severity != "info" and one.code != "no_wal"
        ]


@pytest.mark.parametrize(
    ("column", "value", "type_sql", "code"),
    [
        ("TEXT", "NULL", "text NOT NULL", "null_in_not_null"),
        ("TEXT", "'abc'", "varchar(2)", "too_long"),
        ("INTEGER", "3000000000", "integer", "out_of_range"),
        ("TEXT", "'10.0.0.256'", "inet", "not_an_address"),
        ("TEXT", "'2024-01-02 03:04:05+02:00'", "timestamp", "offset_lost"),
    ],
)
def test_a_value_the_table_in_place_cannot_take_is_mended_by_a_statement_for_postgresql(
    make_pair: Make, column: str, value: str, type_sql: str, code: str
) -> None:
    """The types and NOT NULLs there win over a mapping: the advice is the ALTER TABLE to run, and then all is well."""
    pair = make_pair(f'CREATE TABLE "T" (id INTEGER PRIMARY KEY, "V" {column}); INSERT INTO "T" VALUES (7, {value})')
    pair.execute(f'CREATE TABLE "T" (id bigint PRIMARY KEY, "V" {type_sql})')
    (found,) = _findings(pair)
    assert found.code == code
    pair.execute(found.fix.partition(";")[0])
    assert _findings(pair) == []


def test_times_in_a_table_in_place_are_mended_by_their_format_alone(make_pair: Make) -> None:
    """The line names the type that is there: another one would not be obeyed."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME); INSERT INTO t VALUES (1, 1704164645)")
    pair.execute("CREATE TABLE t (id bigint PRIMARY KEY, at timestamp)")
    (found,) = _findings(pair)
    line = tomllib.loads(found.fix)["tables"]["t"]["columns"]["at"]
    assert line == {"type": "timestamp", "format": "epoch_s"}


def test_a_key_the_table_in_place_lacks_comes_with_both_ways_out(make_pair: Make) -> None:
    """The statement that adds the key, and the other key that both sides have; either one is enough."""
    pair = make_pair('CREATE TABLE "T" (id INTEGER PRIMARY KEY, "Name" TEXT NOT NULL UNIQUE)')
    pair.execute('CREATE TABLE "T" (id serial, "Name" text NOT NULL UNIQUE)')
    (found,) = _findings(pair)
    assert found.code == "no_key"
    statement, _, rule = found.fix.partition("; or ")
    assert 'key = ["Name"]' in rule
    pair.settings = pair.settings.model_copy(update={"tables": _tables(rule)})
    assert _findings(pair) == []
    pair.settings = pair.settings.model_copy(update={"tables": {}})
    pair.execute(statement)
    assert _findings(pair) == []


def _tables(rule: str) -> dict[str, object]:
    """Return the mapping that a rule for a sentence stands for."""
    heading, _, said = rule.partition("] ")
    return dict(Settings(source="x", **tomllib.loads(f"{heading}]\n{said}")).tables)  # type: ignore[arg-type]


def test_a_dry_run_says_of_a_table_it_cannot_fill_what_check_says(make_pair: Make) -> None:
    """A column the target spells otherwise: the line to write, not what PostgreSQL says of a temporary table."""
    pair = make_pair("CREATE TABLE t (TheId INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'x')")
    pair.execute("CREATE TABLE t (the_id bigint PRIMARY KEY, v text)")
    with Context(pair.settings) as context, pytest.raises(RefusedError, match=r'TheId = \{ target = "the_id" \}'):
        dry_run(context, lambda _name, _rows: None)


def test_times_finer_than_the_timestamp_in_place_are_proposed_to_be_cut(make_pair: Make) -> None:
    """What Go writes, nine decimals, and seconds since 1970: a proposal for timestamptz is good for timestamp too."""
    pair = make_pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, written DATETIME, created_at INTEGER, code TEXT);"
        "INSERT INTO t VALUES (1, '2024-01-02 03:04:05.123456789+00:00', 1704164645, '2024-01-02')"
    )
    pair.execute("CREATE TABLE t (id bigint PRIMARY KEY, written timestamp, created_at timestamp, code text)")
    with Source(pair.path) as source:
        _, plans = proposed_plans(source, pair.settings)
        found = evidence(source, plans, pair.settings, lambda _name, _rows: None)
    said = {column: one.said for (_, column), one in outlook(pair.settings, plans, found.proposals).proposals.items()}
    assert said == {
        "written": {"type": "timestamp", "on_finer": "truncate"},
        "created_at": {"type": "timestamp", "format": "epoch_s"},
    }


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("CREATE VIEW v AS SELECT 1", "there is no table to move .name the file"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, ctid TEXT)", "system column ctid .target = "),
    ],
)
def test_a_dry_run_refuses_what_install_would_refuse(make_pair: Make, schema: str, said: str) -> None:
    """With the setting that mends it; a file without tables is no dry run of nothing that went well."""
    pair = make_pair(schema)
    with Context(pair.settings) as context, pytest.raises(RefusedError, match=said):
        dry_run(context, lambda _name, _rows: None)
    with pytest.raises(RefusedError, match=said):
        pair.install()
