"""Gaps of migrations that come while others are answered, in this very process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cdcsync.machine import look, repair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.pair import Pair

    Make = Callable[..., Pair]

SCHEMA = """
CREATE TABLE account (id INTEGER PRIMARY KEY, nick TEXT);
INSERT INTO account VALUES (1, 'a'), (2, 'b'), (3, 'c');
"""
REBUILD = (
    "CREATE TABLE new__account (id INTEGER PRIMARY KEY, nick TEXT)",
    "INSERT INTO new__account SELECT id, nick FROM account",
    "DROP TABLE account",
    "ALTER TABLE new__account RENAME TO account",
)


@pytest.fixture(name="pair")
def _pair(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """A pair that is in step, and that waits for nothing."""
    monkeypatch.setattr(look, "STILL_SECONDS", 0.0)
    monkeypatch.setattr(look, "MISSING_SECONDS", 0.0)
    pair = make_pair(SCHEMA)
    pair.install()
    pair.sync()
    return pair


@pytest.mark.parametrize("first", [REBUILD, ("ALTER TABLE account ADD COLUMN rank INTEGER DEFAULT 7",)])
def test_a_migration_during_a_repair_is_in_a_gap_too(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, first: tuple[str, ...]
) -> None:
    """The first one may have had a gap, which ended before the second, or none."""
    pages, moments = repair.pages, list[float]()

    def with_another_migration(*arguments: object) -> Iterator[object]:
        for page in pages(*arguments):  # type: ignore[arg-type]
            if not moments:
                moments.append(time.time())
                pair.write(*REBUILD)
                pair.write("INSERT INTO account (id, nick) VALUES (4, 'nobody saw it')")
                moments.append(time.time())
            yield page

    monkeypatch.setattr(repair, "pages", with_another_migration)
    pair.write(*first)
    pair.sync()
    began, ended = moments
    query = f"SELECT since <= to_timestamp({ended}) AND until >= to_timestamp({began}) FROM cdcsync.drift"
    assert (True,) in pair.target(query)
    assert pair.verify().equal
