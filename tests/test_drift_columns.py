"""Drift of columns: names used again, types that changed, copies that were changed by hand."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.drifting import FOUND, SCHEMA, in_step, start

from cdcsync.machine.context import Context
from cdcsync.machine.session import Session
from cdcsync.machine.stream import bring_up
from cdcsync.machine.sync import Sync
from cdcsync.words.errors import PermanentStopError, UsageError
from cdcsync.words.settings import ColumnMapping, TableMapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.pair import Pair

    Make = Callable[..., Pair]


@pytest.fixture(name="pair")
def _pair(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """A pair that is in step, and that waits for nothing."""
    return start(make_pair, monkeypatch)


@contextmanager
def one_session(pair: Pair) -> Iterator[Callable[[], object]]:
    """Sync as the daemon does, all in one session; yields a step."""
    with Context(pair.settings) as context, Session(context) as session:
        session.take("drain")
        yield lambda: bring_up(session, Sync(session), lambda: None)
        session.release()


@pytest.mark.parametrize(
    "statements",
    [
        (
            "ALTER TABLE item RENAME COLUMN n TO tmp",
            "ALTER TABLE item RENAME COLUMN m TO n",
            "ALTER TABLE item RENAME COLUMN tmp TO m",
        ),
        ("ALTER TABLE item DROP COLUMN n", "ALTER TABLE item RENAME COLUMN m TO n"),
        ("ALTER TABLE item DROP COLUMN n", "ALTER TABLE item ADD COLUMN n INTEGER"),
    ],
)
def test_a_column_that_takes_anothers_name_brings_its_own_values(pair: Pair, statements: tuple[str, ...]) -> None:
    """No row was written to, so no entry tells: the columns' places do."""
    pair.write("ALTER TABLE item ADD COLUMN m INTEGER", "UPDATE item SET m = id")
    in_step(pair)
    pair.write(*statements)
    in_step(pair)


def test_a_column_dropped_and_added_later_does_not_bring_its_old_values_back(pair: Pair) -> None:
    """PostgreSQL kept the dropped column; what it held is not what the new one holds."""
    pair.write("ALTER TABLE item DROP COLUMN n")
    in_step(pair)
    pair.write("ALTER TABLE item ADD COLUMN n INTEGER")
    in_step(pair)
    assert pair.target("SELECT count(n) FROM item") == [(0,)]


def test_a_column_dropped_and_added_with_another_type_asks_a_person(pair: Pair) -> None:
    """The kept column stands in the way, and the statement that takes it away is given."""
    pair.write("ALTER TABLE item DROP COLUMN n")
    in_step(pair)
    pair.write("ALTER TABLE item ADD COLUMN n TEXT", "UPDATE item SET n = 'words'")
    with pytest.raises(PermanentStopError, match=r'ALTER TABLE "public"\."item" DROP COLUMN "n"'):
        pair.sync()
    pair.execute('ALTER TABLE "public"."item" DROP COLUMN "n"')
    in_step(pair)


def test_a_column_the_target_had_already_takes_the_sources_values(make_pair: Make) -> None:
    """A table found in place may have had a column of that name with a default of its own."""
    pair = make_pair(SCHEMA)
    pair.execute(*(FOUND[0], FOUND[1], FOUND[2].replace("%s", ", extra text DEFAULT 'x'")))
    pair.install()
    pair.sync()
    pair.write("ALTER TABLE item ADD COLUMN extra TEXT")
    in_step(pair)


def test_a_column_dropped_in_the_target_is_made_and_filled_again(pair: Pair) -> None:
    """Whoever did that, the source says what is right."""
    pair.execute("ALTER TABLE item DROP COLUMN n")
    in_step(pair)
    assert pair.target("SELECT n FROM item ORDER BY id") == [(10,), (20,), (30,)]


def test_a_copy_dropped_in_the_target_is_made_and_filled_again(pair: Pair) -> None:
    """The way out of whatever cannot be followed: drop the copy."""
    pair.execute("DROP TABLE item")
    in_step(pair)
    assert pair.target("SELECT count(*) FROM pg_trigger WHERE tgname = '_cdcsync_guard'") == [(3,)]


@pytest.mark.parametrize("by", ["repair", "batch"])
def test_staged_rows_have_the_columns_of_now(pair: Pair, by: str) -> None:
    """A session outlives a drift: what it staged rows in before has the columns of before."""
    with one_session(pair) as step:
        if by == "batch":
            pair.insert("item", [(n, 1, "x", n) for n in range(1000, 1200)])
            step()
        for name in ("a", "b"):
            pair.write(f"ALTER TABLE item ADD COLUMN {name} INTEGER DEFAULT 5", f"UPDATE item SET {name} = id")
            step()
    assert pair.verify().equal


def test_a_mapping_may_go_on_naming_what_the_source_dropped(make_pair: Make) -> None:
    """Columns and tables that were there once are no typing mistakes, now or at any later start."""
    mapped = {"n": ColumnMapping(type="numeric")}
    pair = make_pair(SCHEMA, tables={"item": TableMapping(columns=mapped), "note": TableMapping(target="notes")})
    pair.install()
    pair.sync()
    pair.write("ALTER TABLE item DROP COLUMN n", "DROP TABLE note")
    in_step(pair)
    pair.execute("DROP TABLE notes")
    in_step(pair)
    pair.change_settings(tables={"never": TableMapping(skip=True)})
    with pytest.raises(UsageError, match="no such table"):
        pair.sync()


@pytest.mark.parametrize("name", ["xmin", "c" * 70])
def test_a_new_column_postgresql_cannot_name_stops_with_the_rule(pair: Pair, name: str) -> None:
    """The mapping gives it another name, or it goes away again."""
    pair.write(f"ALTER TABLE item ADD COLUMN {name} TEXT")
    with pytest.raises(PermanentStopError, match="target = "):
        pair.sync()
    pair.write(f"ALTER TABLE item DROP COLUMN {name}")
    in_step(pair)


def test_a_column_dropped_from_a_table_found_in_place_that_needs_it_asks_a_person(make_pair: Make) -> None:
    """NOT NULL without a default: every new row would be refused."""
    pair = make_pair(SCHEMA)
    pair.execute(*(statement.replace("%s", "NOT NULL") for statement in FOUND))
    pair.install()
    pair.sync()
    pair.write("ALTER TABLE item DROP COLUMN n", "INSERT INTO item VALUES (99, 1, 'x')")
    with pytest.raises(PermanentStopError, match='DROP COLUMN "n"'):
        pair.sync()
    pair.execute('ALTER TABLE "public"."item" DROP COLUMN "n"')
    in_step(pair)
