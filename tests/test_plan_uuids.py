"""`plan` recognises UUIDs in every form applications write, documents a CHECK speaks for, and times too fine."""

from __future__ import annotations

import tomllib
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from support.findings import evidence_of, findings_of_values, make_source

from cdcsync.core.mapping_file import mapping_text
from cdcsync.edges.source import Source
from cdcsync.machine.context import proposed_plans
from cdcsync.words.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

IDS = [uuid.UUID(int=(0xABCDEF << 104) + n, version=4) for n in range(1, 7)]
HEX = [one.hex for one in IDS]
BYTES = [one.bytes for one in IDS]
FINE = [f"2024-01-01T00:00:0{n}.123456789Z" for n in range(4)]


def _proposed(folder: Path, column: str, values: Sequence[object]) -> dict[str, Any] | None:
    schema = f"CREATE TABLE t (n INTEGER PRIMARY KEY, {column})"
    path = make_source(folder / "a.db", schema, {"t": list(enumerate(values))})
    proposals = list(evidence_of(path).proposals.values())
    if not proposals:
        return None
    said = _written(path)["t"]["columns"][column.split(maxsplit=1)[0]]
    # What is accepted converts every value.
    assert findings_of_values(path, {"t": {"columns": {column.split(maxsplit=1)[0]: said}}}) == []
    return said if isinstance(said, dict) else {"type": said}


def _written(path: Path) -> dict[str, Any]:
    settings = Settings(source=path)
    with Source(path) as source:
        plans = proposed_plans(source, settings)[1]
    text = mapping_text(settings, {}, plans, evidence_of(path), {}, beside=None, target="")
    return dict(tomllib.loads(text)["tables"])


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("a char(32)", HEX[:1], {"type": "uuid", "format": "hex"}),
        ("a VARCHAR(32) UNIQUE", HEX[:2], {"type": "uuid", "format": "hex"}),
        ("a UUID", HEX[:1], {"type": "uuid", "format": "hex"}),
        ("a TEXT", HEX, {"type": "uuid", "format": "hex"}),
        ("a TEXT", HEX[:4], None),
        ("a char(32)", ["d41d8cd98f00b204e9800998ecf8427e", *HEX], None),
        ("a char(32)", [HEX[0].upper(), HEX[1]], None),
        ("a char(32)", [str(one) for one in IDS], {"type": "uuid", "format": "hyphens"}),
        ("a BLOB(16)", BYTES, {"type": "uuid", "format": "blob"}),
        ("a BINARY(16)", BYTES, {"type": "uuid", "format": "blob"}),
        ("a BLOB(16)", BYTES[:4], None),
        ("a BLOB", [bytes(16), *BYTES], None),
        ("a TEXT", [str(one) for one in IDS[:2]], None),
        ("a TEXT UNIQUE", [str(one) for one in IDS[:2]], {"type": "uuid"}),
        ("user_id TEXT", [str(one) for one in IDS[:1]], {"type": "uuid"}),
        ("orderGuid TEXT", [str(one) for one in IDS[:1]], {"type": "uuid"}),
        ('a TEXT CHECK (JSON_VALID("a") OR a IS NULL)', [], {"type": "jsonb"}),
        ("a TEXT CHECK (a IS NULL OR json_valid ( [a] ))", ["1", '"x"', "{}"], {"type": "jsonb"}),
        ("a TEXT CHECK (json_valid(a))", ['{"a": 1, "a": 2}'], None),
        ("a TEXT CHECK (length(a) < 9)", [], None),
        ("a TIMESTAMP", FINE, {"type": "timestamptz", "on_finer": "truncate"}),
        ("a TEXT", FINE, {"type": "timestamptz", "on_finer": "truncate"}),
        (
            "a TIMESTAMP",
            [*FINE, "2024-01-01 00:00:00"],
            {"type": "timestamptz", "naive": "utc", "on_finer": "truncate"},
        ),
        ("a TEXT UNIQUE", FINE, None),
    ],
)
def test_what_the_values_speak_for_is_proposed(
    tmp_path: Path, column: str, values: list[object], expected: dict[str, Any] | None
) -> None:
    """A digest is no UUID, and one or two values say enough only where the name or the key does too."""
    assert _proposed(tmp_path, column, values) == expected


def test_times_too_fine_are_counted(tmp_path: Path) -> None:
    """The line that cuts them says how many they are."""
    rows = list(enumerate([*FINE, "2024-01-01T00:00:00Z"]))
    path = make_source(tmp_path / "a.db", "CREATE TABLE t (n INTEGER PRIMARY KEY, a TIMESTAMP)", {"t": rows})
    (proposal,) = evidence_of(path).proposals.values()
    assert proposal.evidence == (
        "5 of 5 values are ISO-8601 times: 5 Z; 4 have decimals beyond the sixth, which are cut off"
    )


def test_a_foreign_key_with_few_values_follows_the_key_it_refers_to(tmp_path: Path) -> None:
    """Too few to speak for themselves, they do not speak against it."""
    schema = """CREATE TABLE p (id TEXT PRIMARY KEY); CREATE TABLE c (n INTEGER PRIMARY KEY, p TEXT REFERENCES p);"""
    rows: dict[str, Sequence[Sequence[object]]] = {"p": [(one,) for one in HEX], "c": [(1, HEX[0])]}
    found = evidence_of(make_source(tmp_path / "a.db", schema, rows)).proposals
    assert {place: one.format for place, one in found.items()} == {("p", "id"): "hex", ("c", "p"): "hex"}
