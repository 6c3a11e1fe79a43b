"""Tables found in place are known by their names; what belongs to the target's own migrations stays the target's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.shape import shape_of

from cdcsync.machine.check import check
from cdcsync.machine.context import Context
from cdcsync.machine.status import status
from cdcsync.words.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    from cdcsync.words.nouns import Finding

    Make = Callable[..., Pair]


def _findings(pair: Pair, *codes: str) -> list[Finding]:
    with Context(pair.settings) as context:
        return [found for found in check(context, lambda _name, _rows: None) if found.code in codes]


def test_names_that_differ_in_case_alone_are_the_same(make_pair: Make) -> None:
    """One schema text without quotes gives Users and Lock in SQLite, users and lock in PostgreSQL."""
    text = "CREATE TABLE Users (Id INTEGER PRIMARY KEY, Lock TEXT, eMail TEXT UNIQUE);"
    pair = make_pair(text + "INSERT INTO Users VALUES (1, 'X', 'a')")
    pair.execute(text)
    before = shape_of(pair)
    assert [found.table for found in _findings(pair, "other_case")] == ["Users"]
    pair.install()
    pair.sync()
    pair.write("UPDATE Users SET eMail = 'b'")
    pair.sync()
    assert pair.verify().equal
    # What a session after a change of the schema knows of the names.
    pair.write("ALTER TABLE Users ADD COLUMN note TEXT DEFAULT 'n'")
    pair.sync()
    assert pair.target("SELECT id, lock, email, note FROM users") == [(1, "X", "b", "n")]
    assert pair.drain().handed_over
    pair.execute("ALTER TABLE users DROP COLUMN note")
    assert shape_of(pair) == before


def test_a_name_that_two_of_the_target_could_be_is_left_to_a_person(make_pair: Make) -> None:
    """The exact one is taken; where two differ in case alone, the column is missing and the fix says how to name it."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, Vv TEXT)")
    pair.execute('CREATE TABLE t (id bigint PRIMARY KEY, v text, "V" text, vv text, "VV" text)')
    assert [(found.column, found.severity) for found in _findings(pair, "no_column")] == [("Vv", "blocking")]


def test_a_mapping_by_hand_is_obeyed_to_the_letter(make_pair: Make) -> None:
    """A table named Users is created, whatever else the target holds."""
    pair = make_pair("CREATE TABLE Users (id INTEGER PRIMARY KEY)", tables={"Users": {"target": "Users"}})
    pair.execute("CREATE TABLE users (id bigint PRIMARY KEY)")
    assert [found.severity for found in _findings(pair, "other_case")] == ["warning"]
    pair.install()
    assert pair.target("SELECT to_regclass('\"Users\"') IS NOT NULL") == [(True,)]


BOOKKEEPING = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);"
SOURCE = BOOKKEEPING + "INSERT INTO alembic_version VALUES ('lite'); CREATE TABLE t (id INTEGER PRIMARY KEY)"


@pytest.mark.parametrize("new_tables", ["report", "capture"])
def test_each_side_keeps_its_own_notes_on_migrations(make_pair: Make, new_tables: str) -> None:
    """Left out where the target has filled its own: said as information, and never taken for a new table later."""
    pair = make_pair(SOURCE, new_tables=new_tables)
    pair.execute(BOOKKEEPING, "INSERT INTO alembic_version VALUES ('pg')")
    assert [found.table for found in _findings(pair, "bookkeeping", "target_not_empty")] == ["alembic_version"]
    assert pair.install().tables == 1
    pair.sync()
    pair.write("ALTER TABLE t ADD COLUMN v TEXT")
    pair.sync()
    with Context(pair.settings) as context:
        assert status(context)["new_tables"] == []
    report = pair.drain().handover
    assert report is not None
    assert report.remarks == []
    assert pair.target("SELECT * FROM alembic_version") == [("pg",)]


@pytest.mark.parametrize("there", ["", BOOKKEEPING])
def test_notes_on_migrations_are_copied_where_the_target_has_none(make_pair: Make, there: str) -> None:
    """The tables we create, or find empty, are those SQLite's migrations made."""
    pair = make_pair(SOURCE)
    pair.execute(there or "SELECT")
    pair.install()
    pair.sync()
    assert pair.target("SELECT * FROM alembic_version") == [("lite",)]
    assert pair.verify().equal


def test_notes_on_migrations_are_asked_for_by_name(make_pair: Make) -> None:
    """The way in is skip = false, and then they are in the way like any other rows."""
    pair = make_pair(SOURCE, tables={"alembic_version": {"skip": False}})
    pair.execute(BOOKKEEPING, "INSERT INTO alembic_version VALUES ('pg')")
    with pytest.raises(RefusedError, match=r'TRUNCATE "public"\."alembic_version"'):
        pair.install()


def test_rows_that_migrations_put_there_go_by_one_statement(make_pair: Make) -> None:
    """It names every table that has to be emptied with them, those of others too; run as it is, it clears the way."""
    pair = make_pair(
        "CREATE TABLE roles (id INTEGER PRIMARY KEY); CREATE TABLE types (id INTEGER PRIMARY KEY);"
        "CREATE TABLE users (id INTEGER PRIMARY KEY, role INTEGER REFERENCES roles (id))"
    )
    pair.execute(
        "CREATE TABLE roles (id bigint PRIMARY KEY); INSERT INTO roles VALUES (1)",
        "CREATE TABLE types (id bigint PRIMARY KEY); INSERT INTO types VALUES (1)",
        "CREATE TABLE users (id bigint PRIMARY KEY, role bigint REFERENCES roles (id))",
        "CREATE TABLE own (role bigint REFERENCES users (id))",
    )
    fix = next(found.fix for found in _findings(pair, "target_not_empty"))
    statement = fix.partition(";")[0]
    names = ", ".join(f'"public"."{name}"' for name in ("own", "roles", "types", "users"))
    assert statement == f"TRUNCATE {names}"
    pair.execute(statement)
    pair.install()


def test_a_table_the_target_lacks_is_created_and_told(make_pair: Make) -> None:
    """Its foreign key to a table found in place is there after the handover."""
    pair = make_pair(
        "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY, a INTEGER REFERENCES a (id));"
        "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 1)"
    )
    pair.execute("CREATE TABLE a (id bigint PRIMARY KEY)")
    assert [found.table for found in _findings(pair, "created")] == ["b"]
    pair.install()
    pair.sync()
    assert pair.drain().handed_over
    assert pair.target("SELECT count(*) FROM pg_constraint WHERE conrelid = 'b'::regclass AND contype = 'f'") == [(1,)]
