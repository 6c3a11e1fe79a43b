"""Bugs planted in the triggers: the oracle finds each, so its silence means something."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support import oracle

from cdcsync.core.quoting import sqlite_name
from cdcsync.edges import arriving, capture, collisions

if TYPE_CHECKING:
    from collections.abc import Callable

    from cdcsync.edges.arriving import Arriving
    from cdcsync.words.nouns import Index

HISTORIES = 4_000
"""Far fewer than are played in earnest."""


def _without(part: str, statements: list[str]) -> list[str]:
    return [text for text in statements if part not in text]


def _replaced(pattern: str, by: str, statements: list[str]) -> list[str]:
    return [re.sub(pattern, by, text) for text in statements]


def _without_new_key(statements: list[str]) -> list[str]:
    """Let the trigger before UPDATE log only the key a row loses."""
    first = r"(BEFORE UPDATE .*?;\n)  INSERT INTO _cdcsync_log [^;]*;\n"
    return [re.sub(first, r"\1", text, count=1, flags=re.DOTALL) for text in statements]


def _with_of_list(statements: list[str]) -> list[str]:
    """Let the AFTER UPDATE trigger fire only where a statement names the key."""
    return [
        re.sub(r'(AFTER UPDATE) (ON .*?(?:new|stored)\.("(?:[^"]|"")*"))', r"\1 OF \3 \2", s, flags=re.DOTALL)
        for s in statements
    ]


RENDERED = {
    "no trigger before INSERT": partial(_without, '_before_insert"'),
    "no trigger before UPDATE": partial(_without, '_before_update"'),
    "no trigger before DELETE": partial(_without, '_before_delete"'),
    "the new key after UPDATE only": _without_new_key,
    "no trigger after UPDATE": partial(_without, '_after_update"'),
    "a plain IS NOT": partial(
        _replaced, r" COLLATE BINARY( IS NOT new\.\S+) COLLATE BINARY OR typeof\(\S+ <> typeof\(new\.\S+\)", r"\1"
    ),
    "no typeof": partial(_replaced, r" OR typeof\(old\.\S+ <> typeof\(new\.\S+\)", ""),
    "NOT NULL on the log": partial(_replaced, r"(_cdcsync_log \(seq INTEGER PRIMARY KEY, tbl, at, k1)", r"\1 NOT NULL"),
    "CHECK on the log": partial(
        _replaced, r"(_cdcsync_log \(seq INTEGER PRIMARY KEY, tbl, at, k1)", r"\1 CHECK (k1 <> 2)"
    ),
    "UNIQUE on the log": partial(_replaced, r"(_cdcsync_log \(seq INTEGER PRIMARY KEY, tbl, at, k1)", r"\1 UNIQUE"),
    "an affinity on the log": partial(_replaced, r"(_cdcsync_log \(seq INTEGER PRIMARY KEY, tbl, at, k1)", r"\1 TEXT"),
    "an OF list": _with_of_list,
    "the column's collation instead of the index's": partial(_replaced, r' COLLATE "(NOCASE|RTRIM|BINARY)"', ""),
    "no victims by rowid": partial(_replaced, r"INSERT [^;]* WHERE victim\.\S+ = new\.(rowid|_rowid_|oid)\b[^;]*;", ""),
    "the old key read after the change": partial(_replaced, "BEFORE DELETE", "AFTER DELETE"),
}


@pytest.mark.parametrize("planted", RENDERED)
def test_the_oracle_finds_a_bug_in_what_is_rendered(monkeypatch: pytest.MonkeyPatch, planted: str) -> None:
    """Each of these mistakes makes a history fail."""
    render: Callable[..., list[str]] = capture.statements
    monkeypatch.setattr(capture, "statements", lambda captured: RENDERED[planted](render(captured)))
    _is_found()


def test_the_oracle_finds_a_forgotten_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """An explicit NULL that becomes the default takes the default's place in an index."""
    monkeypatch.setattr(arriving.Arriving, "is_defaulted", lambda *_: False)
    _is_found()


def test_the_oracle_finds_a_forgotten_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    """NEW.x compares otherwise than the column x."""
    monkeypatch.setattr(arriving.Arriving, "_typed", lambda _self, _name, value: value)
    _is_found()


def test_the_oracle_finds_a_predicate_asked_of_the_arriving_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partial index's predicate kept in as it stands misses rows: NEW.x has no affinity and no default."""
    collides = collisions._collides  # noqa: SLF001  the bug is planted here

    def kept(row: Arriving, index: Index) -> str:
        where = arriving.index_where(index)
        if where is None:
            return collides(row, index)
        columns = ", ".join(f"new.{sqlite_name(c.name)} AS {sqlite_name(c.name)}" for c in row.table.columns)
        return f"{collides(row, index)} AND (SELECT {where} FROM (SELECT {columns}))"

    monkeypatch.setattr(collisions, "_collides", kept)
    _is_found()


def test_the_oracle_finds_an_unwatched_predicate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that enters a partial index takes another's place there, though no indexed column changed."""
    read_by = collisions._read_by  # noqa: SLF001  the bug is planted here
    monkeypatch.setattr(collisions, "_read_by", lambda row, index: read_by(row, index)[:1])
    _is_found()


def _is_found() -> None:
    oracle.forget()
    try:
        played = oracle.Tally()
        assert next(oracle.failures(range(HISTORIES), played), None) is not None, f"not found: {played}"
    finally:
        oracle.forget()
