"""`plan` proposes what every value speaks for, says why, and what it writes leaves `check` nothing to say."""

from __future__ import annotations

import sqlite3
import tomllib
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.findings import evidence_of, findings_of_values, make_source

from cdcsync.core.mapping_file import mapping_text
from cdcsync.core.proposals import accepted
from cdcsync.edges.source import Source
from cdcsync.machine.context import proposed_plans
from cdcsync.words.settings import Settings, load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from support.cli import Cli

    from cdcsync.words.nouns import TablePlan

UUID = "123e4567-e89b-42d3-a456-4266141740"


def _proposed(tmp_path: Path, declared: str, values: Sequence[object], column: str = "a") -> tuple[str, ...] | None:
    """Return what is proposed for a column with these values: type, format, naive and evidence."""
    schema = f"CREATE TABLE t (id INTEGER PRIMARY KEY, {column} {declared})"
    source = make_source(tmp_path / f"{len(list(tmp_path.iterdir()))}.db", schema, {"t": list(enumerate(values))})
    found = evidence_of(source).proposals.get(("t", column))
    return None if found is None else (*found.said.values(), found.evidence)


def test_uuids_are_counted_and_one_that_is_none_ends_the_proposal(tmp_path: Path) -> None:
    """NULL is no evidence, for or against."""
    uuids = [f"{UUID}{n:02x}" for n in range(40)]
    assert _proposed(tmp_path, "TEXT", [*uuids, None]) == ("uuid", "40 of 40 values are UUIDs")
    assert _proposed(tmp_path, "TEXT", [*uuids, "none"]) is None
    assert _proposed(tmp_path, "TEXT", [None, None]) is None
    assert _proposed(tmp_path, "TEXT", []) is None


def test_times_are_counted_by_what_they_say_of_their_offset(tmp_path: Path) -> None:
    """Where some name none, the line says that they are UTC."""
    zoned = ["2024-01-01T00:00:00Z"] * 3 + ["2024-01-01 00:00:00.5+00:00"] + ["2024-01-01T00:00:00-05:30"] * 2
    evidence = "values are ISO-8601 times: 3 Z, 1 +00:00, 2 with another offset"
    assert _proposed(tmp_path, "TEXT", zoned) == ("timestamptz", f"6 of 6 {evidence}")
    naive = ["2024-01-01 00:00:00", "2024-01-01T00:00"]
    expected = ("timestamptz", "utc", f"8 of 8 {evidence}, 2 without offset, read as UTC")
    assert _proposed(tmp_path, "TEXT", [*zoned, *naive]) == expected
    # Nobody had to propose the type here, but the offset.
    assert _proposed(tmp_path, "DATETIME", [*zoned, *naive]) == expected
    assert _proposed(tmp_path, "DATETIME", zoned) is None
    assert _proposed(tmp_path, "TEXT", [*zoned, "now"]) is None


@pytest.mark.parametrize(
    ("declared", "values", "column", "expected"),
    [
        ("TEXT", ["2024-01-31", "1999-12-01"], "a", ("date", "2 of 2 values are dates")),
        ("TEXT", ['{"a": 1}', "[]"], "a", ("jsonb", "2 of 2 values are JSON objects or arrays")),
        ("TEXT", ['{"a": 1}', "1"], "a", None),
        ("TEXT", ['{"a": 1, "a": 2}'], "a", None),
        ("TEXT", ['{"a": "\\u0000"}'], "a", None),
        ("INTEGER", [0, 1, None], "is_open", ("boolean", "2 of 2 values are 0 or 1")),
        ("INTEGER", [0, 1], "hasCar", ("boolean", "2 of 2 values are 0 or 1")),
        ("TINYINT(1)", [0, 1], "a", ("boolean", "2 of 2 values are 0 or 1")),
        ("INTEGER", [0, 1, 2], "is_open", None),
        ("INTEGER", [0, 1], "a", None),
        ("INTEGER", [0, 1], "island", None),
        ("INTEGER", [1700000000], "a", None),
        ("INTEGER", [1700000000, 5], "created_at", None),
        ("TEXT", ["1700000000"], "created_at", None),
    ],
)
def test_other_types_are_proposed_with_care(
    tmp_path: Path, declared: str, values: list[object], column: str, expected: tuple[str, ...] | None
) -> None:
    """Zeros and ones are flags, and numbers are times, only where the column's name says so too."""
    assert _proposed(tmp_path, declared, values, column) == expected


@pytest.mark.parametrize(
    ("form", "first", "last"),
    [
        ("epoch_s", 1_700_000_000, 1_710_000_000),
        ("epoch_ms", 1_700_000_000_000, 1_710_000_000_000),
        ("epoch_us", 1_700_000_000_000_000, 1_710_000_000_000_000),
        ("julian", 2_460_263.5, 2_460_379.25),
    ],
)
@pytest.mark.parametrize(("declared", "column"), [("INTEGER", "created_at"), ("DATETIME", "a")])
def test_numbers_that_are_times_get_the_format_they_have(
    tmp_path: Path, declared: str, column: str, form: str, first: float, last: float
) -> None:
    """By the range all of them lie in; a DATETIME column needs no telling name."""
    found = _proposed(tmp_path, declared, [first, last], column)
    if form == "julian" and declared == "INTEGER":
        assert found is not None
        assert found[0] != "timestamptz"
        return
    evidence = f"2 of 2 values are times as {form}, from 2023-11-1{5 if form == 'julian' else 4} to 2024-03-"
    assert found is not None
    assert found[:2] == ("timestamptz", form)
    assert found[2].startswith(evidence)


@pytest.mark.parametrize(
    ("declared", "values", "expected"),
    [
        ("INTEGER", ["a", "b", 3], ("text", "2 of 3 values cannot be bigint: 'a': another storage class")),
        ("DATE", ["2024-01-01 10:00:00Z"], ("timestamptz", "1 of 1 values cannot be date: '2024-01-01 10:00:00Z'")),
        ("DECIMAL(5,1)", [1.25, 1.5], ("numeric", "1 of 2 values cannot be numeric(5,1): 1.25: it would be rounded")),
        ("INTEGER", [b"a", "b"], None),
        ("INTEGER", [*range(200), "a"], None),
    ],
)
def test_a_type_that_cannot_hold_the_values_is_proposed_another(
    tmp_path: Path, declared: str, values: list[object], expected: tuple[str, str] | None
) -> None:
    """Not where nothing holds them all, and not for the sake of one value in two hundred."""
    found = _proposed(tmp_path, declared, values)
    assert (found is None) is (expected is None)
    if found is not None and expected is not None:
        assert found[0] == expected[0]
        assert found[-1].startswith(expected[1])


def test_keys_are_proposed_a_type_only_where_no_two_spellings_become_one(tmp_path: Path) -> None:
    """UUIDs in lower case are; in upper case, and times, they are not; nor are flags and times in unique columns."""
    schema = "CREATE TABLE t (id TEXT PRIMARY KEY, u TEXT UNIQUE, at TEXT UNIQUE, is_x INTEGER UNIQUE)"
    for upper in (False, True):
        uuids = [f"{UUID}{n:02x}".upper() if upper else f"{UUID}{n:02x}" for n in (1, 2)]
        rows = [(one, one, f"2024-01-01T00:00:0{n}Z", n) for n, one in enumerate(uuids)]
        found = evidence_of(make_source(tmp_path / f"{upper}.db", schema, {"t": rows})).proposals
        assert set(found) == (set() if upper else {("t", "id"), ("t", "u")})


def test_both_ends_of_a_foreign_key_get_the_same_type_or_none(tmp_path: Path) -> None:
    """An end without values follows the other; one whose values speak against it keeps both as they are."""
    schema = """
        CREATE TABLE p (id TEXT PRIMARY KEY); CREATE TABLE q (id TEXT PRIMARY KEY);
        CREATE TABLE c (id INTEGER PRIMARY KEY, p TEXT REFERENCES p, q TEXT REFERENCES q);
        CREATE TABLE d (id INTEGER PRIMARY KEY, p TEXT REFERENCES p);
    """
    one = f"{UUID}01"
    rows = {"p": [(one,)], "q": [(one,)], "c": [(1, one, "other")]}
    found = evidence_of(make_source(tmp_path / "a.db", schema, rows)).proposals
    assert {place: proposal.type for place, proposal in found.items()} == dict.fromkeys(
        [("p", "id"), ("c", "p"), ("d", "p")], "uuid"
    )


def test_what_a_person_has_said_is_not_proposed_again(tmp_path: Path) -> None:
    """A type or a format in the settings stands."""
    schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, a_id TEXT, b DATETIME)"
    source = make_source(tmp_path / "a.db", schema, {"t": [(1, f"{UUID}01", 1_700_000_000)]})
    assert set(evidence_of(source).proposals) == {("t", "a_id"), ("t", "b")}
    said: dict[str, Any] = {"a_id": "text", "b": {"format": "epoch_s"}}
    assert not evidence_of(source, {"t": {"columns": said}}).proposals


def test_columns_that_keep_their_type_say_what_disagrees_with_it(tmp_path: Path) -> None:
    """Storage classes with counts, and values that cannot arrive."""
    rows = [(n, n or "x", n, b"b" if n == 3 else "t") for n in range(200)]
    schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, c TEXT)"
    found = evidence_of(make_source(tmp_path / "a.db", schema, {"t": rows}))
    assert found.rows == {"t": 200}
    assert found.remarks["t", "a"] == "holds 199 integer, 1 text; 1 of 200 values cannot arrive as bigint"
    assert found.remarks["t", "b"] == ""
    assert found.remarks["t", "c"] == "holds 199 text, 1 blob; 1 of 200 values cannot arrive as text"


MESSY = """
CREATE TABLE "odd ""t"".x" ("k k" TEXT PRIMARY KEY, created INTEGER, "is_on" INTEGER, seen DATETIME, day TEXT, doc TEXT,
    price DECIMAL(4,1), flag BOOLEAN, note VARCHAR(3), n INTEGER, at TIMESTAMP, plain TEXT, no_type, born DATE, r REAL);
CREATE TABLE "c" (id INTEGER PRIMARY KEY, k TEXT REFERENCES "odd ""t"".x", u UUID);
"""


def test_what_plan_writes_leaves_check_nothing_it_could_have_avoided(tmp_path: Path) -> None:
    """Accepting all proposals never yields a refusal, on a database that its declared types do not describe."""
    rows = [
        (f"{UUID}{n:02x}", 1_700_000_000_000 + n, n % 2, 1_700_000_000 + n, "2024-01-01", "{}", n / 100, n % 3,
         "longer", f"text {n}", "2024-01-01 00:00:00" if n % 2 else "2024-01-01T00:00:00Z", "x", n,
         "2024-01-01T10:00:00", "word")
        for n in range(60)
    ]  # fmt: skip
    children = [(n, f"{UUID}{n:02x}", f"{n}") for n in range(60)]
    source = make_source(tmp_path / "a.db", MESSY, {'"odd ""t"".x"': rows, "c": children})
    assert {one.code for one in findings_of_values(source)} >= {"epoch", "rounding", "not_boolean", "wrong_class"}
    written = tmp_path / "written.toml"
    written.write_text(_mapping_of(source), encoding="utf-8")
    tables = tomllib.loads(written.read_text(encoding="utf-8"))["tables"]
    assert findings_of_values(source, tables) == []
    assert load(written, {}).settings.table("c").columns["u"].type == "bigint"
    assert _plans_of(source, Settings(source=source, tables=tables)) == accepted(
        _plans_of(source, Settings(source=source)), evidence_of(source).proposals
    )


def _plans_of(path: Path, settings: Settings) -> tuple[TablePlan, ...]:
    with Source(path) as source:
        return proposed_plans(source, settings)[1]


def _mapping_of(path: Path) -> str:
    settings = Settings(source=path)
    with Source(path) as source:
        plans = proposed_plans(source, settings)[1]
    return mapping_text(settings, {}, plans, evidence_of(path), {}, beside=None, target="")


def test_plan_prints_rows_evidence_and_remarks_beside_the_lines(cli: Cli, tmp_path: Path) -> None:
    """A person reads why, in the place where the line is kept or deleted."""
    with closing(sqlite3.connect(tmp_path / "a.db")) as db, db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER)")
        db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(n, f"{UUID}{n:02x}", n or "x") for n in range(200)])
    out = cli("plan", "--source", "../a.db").out
    assert "[tables.t]   # 200 rows" in out
    assert 'a = "uuid"   # proposed: 200 of 200 values are UUIDs; without this line text' in out
    assert '"a" uuid' in out.partition("-- The target as this mapping builds it; run without a file")[2]
    assert 'b = "bigint"   # INTEGER; holds 199 integer, 1 text; 1 of 200 values cannot arrive as bigint' in out
