"""The dry run predicts what `run` quarantines: the same rows, by codec, key, NOT NULL and the target's own checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.findings import nobody_watches

from cdcsync.machine import dry_run as module
from cdcsync.machine.context import Context
from cdcsync.machine.dry_run import DryRunReport, dry_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.cli import Cli
    from support.pair import Pair

    Make = Callable[..., Pair]

SCHEMA = """
CREATE TABLE made (id TEXT PRIMARY KEY, n INTEGER, d DATE, v TEXT, w TEXT CHECK (w <> 'broken'));
CREATE TABLE loose (n INTEGER, v DATE);
CREATE TABLE found (id INTEGER PRIMARY KEY, percent INTEGER, mood TEXT, code TEXT, name TEXT UNIQUE, twice);
INSERT INTO made VALUES ('a', 1, '2024-01-01', 'fine', 'x'), ('b', 'x', 'y', CAST(x'ff' AS TEXT), 'z'),
    ('c', 1, '2024-01-01', 'refused', 'y'), (NULL, 1, NULL, 'p', 'q'), (NULL, 2, NULL, 'r', 's');
PRAGMA ignore_check_constraints = 1;
INSERT INTO made VALUES ('d', 1, NULL, 'fine', 'broken');
INSERT INTO loose VALUES (1, '2024-01-01'), (2, 'never'), ('x', 'y');
INSERT INTO found VALUES (1, 50, 'happy', 'abc', 'a', 2), (2, 101, 'happy', 'abc', 'b', 2),
    (3, 1, 'odd', 'abc', 'c', 2), (4, 1, 'sad', 'ABC', 'd', 2),
    (5, 1, 'sad', 'abc', NULL, 2), (6, 7, 'sad', 'abc', 'f', 2);
"""
TARGET = (
    "CREATE DOMAIN percentage AS integer CHECK (value <= 100)",
    "CREATE TYPE mood AS ENUM ('happy', 'sad')",
    """CREATE TABLE found (twice bigint, extra integer NOT NULL DEFAULT 7, counted serial, name text NOT NULL UNIQUE,
        code text CHECK (code = lower(code)), mood mood, percent percentage, id bigint PRIMARY KEY,
        half bigint GENERATED ALWAYS AS (percent / (percent - 7)) STORED, CHECK (twice > 0 AND extra < 8))""",
)
MAPPED = {"made": {"columns": {"v": {"type": "text", "check": "v <> 'refused'"}}}}


def _tried(pair: Pair) -> DryRunReport:
    with Context(pair.settings) as context:
        return dry_run(context, nobody_watches)


def _make(make_pair: Make) -> Pair:
    pair = make_pair(SCHEMA, tables=MAPPED)
    pair.execute(*TARGET)
    return pair


def test_what_would_fail_is_what_run_quarantines(make_pair: Make) -> None:
    """Rows without a key are counted; neither side has anything of the trial afterwards."""
    pair = _make(make_pair)
    report = _tried(pair)
    assert pair.target("SELECT to_regclass('made'), (SELECT last_value FROM found_counted_seq)") == [(None, 1)]
    pair.install()
    pair.sync()
    # What PostgreSQL refuses is known by its key as it was sent, without quotes.
    quarantined = {(table, key.strip("'")) for table, key, _ in pair.quarantined() if table != "loose"}
    assert {(bad.table, bad.key.strip("'")) for bad in report.kept if bad.table != "loose"} == quarantined
    counts = pair.target(
        "SELECT name, sum(rows)::bigint FROM cdcsync.quarantine"
        " JOIN cdcsync.tables USING (source_id, number) GROUP BY name"
    )
    assert report.failing_rows == dict(counts) == {"made": 4, "found": 5, "loose": 2}
    arrived = {name: pair.target(f"SELECT count(*) FROM {name}")[0][0] for name in report.rows}
    assert report.rows == arrived == {"made": 2, "found": 1, "loose": 1}


def test_every_bad_column_of_a_row_is_named(make_pair: Make) -> None:
    """Whoever mends the first does not want to hear of the second only then."""
    report = _tried(_make(make_pair))
    assert [bad.column for bad in report.kept if (bad.table, bad.key) == ("made", "'b'")] == ["n", "d", "v"]
    assert [bad.column for bad in report.kept if bad.table == "loose"] == ["v", "n", "v"]


def test_what_is_kept_is_bounded_and_the_first_of_each_table_are_there(
    make_pair: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million bad values are counted, not remembered."""
    monkeypatch.setattr(module, "MOST_KEPT", 30)
    rows = "WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < 100) SELECT n, 'x' FROM c;"
    tables = "CREATE TABLE {0} (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO {0} " + rows
    report = _tried(make_pair(tables.format("a") + tables.format("b")))
    assert report.failing_values == {"a": 100, "b": 100}
    assert [sum(bad.table == name for bad in report.kept) for name in "ab"] == [30, 20]


def test_a_terminal_gets_the_first_of_each_table_and_how_many_more_there_are(cli: Cli, make_pair: Make) -> None:
    """JSON has them all."""
    rows = "WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < 25) SELECT n, 'x', 'y' FROM c;"
    pair = make_pair("CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER, m INTEGER); INSERT INTO a " + rows)
    out = cli("run", "--once", "--dry-run", "--source", pair.path, expect=1).out.splitlines()
    failing = [line for line in out if line.startswith("would fail: ")]
    assert len(failing) == 21
    assert failing[-1] == "would fail: 30 more values of table a, 25 rows in all: --json lists them"
    told = cli("run", "--once", "--dry-run", "--source", pair.path, "--json", expect=1).json
    assert (told["failing_rows"], told["failing_values"], len(told["failures"])) == (25, 50, 50)
