"""The scan against a model that looks at one value at a time, on generated columns."""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.findings import evidence_of, findings_of_values, make_source

from cdcsync.core.codecs import codec_for
from cdcsync.core.keys import Part
from cdcsync.edges.source import Source
from cdcsync.machine.context import proposed_plans
from cdcsync.words.settings import Settings

UUID = "123e4567-e89b-42d3-a456-426614174000"
POOLS: tuple[tuple[object, ...], ...] = (
    (UUID, UUID.upper(), UUID.replace("-", "")),
    ("2024-01-01T00:00:00Z", "2024-01-01 00:00:00", "2024-01-01T00:00:00+02:00", "2024-01-01", "1999-12-31"),
    ("now", "01/02/2024", "2024-02-30", "2024-01-01 00:00:00.1234567"),
    (0, 1),
    (1_700_000_000, 1_600_000_000, 1_700_000_000_000, 2_460_310.5),
    ("{}", "[1]", '{"a": "\\u0000"}', '{"a": 1, "a": 2}', "NaN"),
    (0.5, 0.1 + 0.2, 1e300, 2**53 + 1, -(2**63), "12.50", "1e5"),
    ("", "x", "é", "a\0b", "true", "maybe", b"", b"\xff"),
)
DECLARED = ["", "INTEGER", "TEXT", "REAL", "BLOB", "DECIMAL(5,2)", "BOOLEAN", "DATETIME", "DATE", "JSON", "UUID"]
COLUMNS = ["a", "created_at", "is_b"]


@st.composite
def columns(draw: st.DrawFn) -> list[object]:
    """Return values of one pool or two, NULLs and text that is not UTF-8 among them."""
    values = [value for pool in draw(st.lists(st.sampled_from(POOLS), min_size=1, max_size=2)) for value in pool]
    few = draw(st.lists(st.sampled_from(values), min_size=1, max_size=4))
    strange = draw(st.lists(st.sampled_from([None, None, "\udcff"]), max_size=2))
    return draw(st.permutations([*few * draw(st.sampled_from([1, 2, 400])), *strange]))


def _insert(path: Path, drawn: list[list[object]]) -> None:
    marks = ", ".join(["CASE WHEN ? THEN CAST(? AS TEXT) ELSE ? END"] * len(drawn))
    bad = "\udcff"
    rows = [
        [number, *(part for value in row for part in (value == bad, b"\xff", None if value == bad else value))]
        for number, row in enumerate(zip(*drawn, strict=True))
    ]
    with closing(sqlite3.connect(path)) as db, db:
        db.executemany(f"INSERT INTO t VALUES (?, {marks})", rows)


def _refused(path: Path) -> dict[str, int]:
    """Ask the codecs about one value after the other."""
    found: Counter[str] = Counter()
    with Source(path) as source, closing(sqlite3.connect(path)) as db:
        db.text_factory = bytes
        (plan,) = proposed_plans(source, Settings(source=path))[1]
        for column in plan.columns[1:]:
            codec = codec_for(column, key=False)
            for storage, value in db.execute(f"SELECT typeof({column.source}), {column.source} FROM t"):
                try:
                    codec.one(*_part(storage.decode(), value))
                except (ValueError, ArithmeticError):
                    found[column.source] += 1
    return dict(found)


def _part(storage: str, value: object) -> Part:
    if storage == "text" and isinstance(value, bytes):
        with suppress(UnicodeDecodeError):
            value = value.decode()
    return storage, value  # type: ignore[return-value]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(st.lists(columns(), min_size=3, max_size=3), st.lists(st.sampled_from(DECLARED), min_size=3, max_size=3))
def test_the_scan_counts_what_the_codecs_refuse_and_proposals_refuse_nothing(
    drawn: list[list[object]], declared: list[str]
) -> None:
    """Whatever a page holds, its fast road and its careful one agree with one value at a time."""
    length = min(map(len, drawn))
    with tempfile.TemporaryDirectory() as folder:
        schema = ", ".join(f"{name} {kind}" for name, kind in zip(COLUMNS, declared, strict=True))
        path = make_source(Path(folder) / "a.db", f"CREATE TABLE t (id INTEGER PRIMARY KEY, {schema})")
        _insert(path, [values[:length] for values in drawn])
        counted: Counter[str] = Counter()
        for finding in findings_of_values(path):
            if finding.code != "naive_time":
                counted[finding.column or ""] += finding.count or 0
        assert dict(counted) == _refused(path)
        proposals = {column: proposal.said for (_, column), proposal in evidence_of(path).proposals.items()}
        left = findings_of_values(path, {"t": {"columns": proposals}})
        naive_alone = {column for column, said in proposals.items() if set(said) == {"type", "naive"}}
        assert not [one for one in left if one.column in proposals and one.column not in naive_alone]
        assert not [one for one in left if one.column in naive_alone and one.code == "naive_time"]
