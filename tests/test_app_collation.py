"""A collation that only the application registers is in nobody's way where SQLite can do without it."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from support.findings import checked, nobody_watches

from cdcsync.core.ddl import differences
from cdcsync.core.mapping_file import mapping_text
from cdcsync.edges.raw_rows import raw_rows
from cdcsync.edges.source import Source
from cdcsync.machine.context import Context, proposed_plans
from cdcsync.machine.dry_run import dry_run
from cdcsync.machine.propose import evidence
from cdcsync.words.errors import DriftError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

DECKS = """
    CREATE TABLE decks (id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE unicase, common);
    CREATE UNIQUE INDEX by_name ON decks (name);
    CREATE TABLE notes (guid TEXT PRIMARY KEY, title COLLATE unicase, deck REFERENCES decks);
    CREATE INDEX by_title ON notes (guid, title);
    CREATE INDEX by_deck ON notes (title, deck);
    CREATE TABLE fields (note, ord, name COLLATE unicase, PRIMARY KEY (note, ord)) WITHOUT ROWID;
    CREATE UNIQUE INDEX by_field ON fields (name, note);
    CREATE TABLE loose (name COLLATE unicase, deck TEXT REFERENCES decks (name));
    CREATE INDEX by_loose ON loose (name, deck);
    INSERT INTO decks VALUES (1, 'Alpha', 1), (2, 'beta', 2);
    INSERT INTO notes VALUES ('x', 'One', 1), ('y', 'two', 2), (NULL, 'three', 2);
    INSERT INTO fields VALUES ('x', 1, 'Front'), ('x', 2, 'Back');
    INSERT INTO loose VALUES ('a', 'ALPHA'), ('B', 'beta');"""


def _make(make_pair: Make, schema: str = DECKS) -> Pair:
    pair = make_pair("")
    pair.application.create_collation("unicase", lambda a, b: (a.lower() > b.lower()) - (a.lower() < b.lower()))
    pair.application.executescript(schema)
    return pair


def test_tables_with_indexes_of_such_a_collation_go_all_the_way(make_pair: Make) -> None:
    """count(*), and every other read that such an index would serve, goes by the table or by its key."""
    pair = _make(make_pair)
    assert [found for found in checked(pair) if found.severity == "blocking"] == []
    with Context(pair.settings) as context:
        assert dry_run(context, nobody_watches).rows == {"decks": 2, "notes": 2, "fields": 2, "loose": 2}
    pair.write("DELETE FROM notes WHERE guid IS NULL")
    pair.install()
    pair.sync()
    # Deletes deck 1, of which no DELETE trigger hears.
    pair.write("REPLACE INTO decks VALUES (7, 'ALPHA', 3)", "UPDATE notes SET deck = 7 WHERE guid = 'x'")
    pair.write("DELETE FROM fields WHERE ord = 2", "INSERT INTO loose VALUES ('c', 'beta')")
    pair.sync()
    for table in ("decks", "notes", "fields", "loose"):
        arrived = sorted(pair.target(f"SELECT * FROM {table}"))
        assert arrived == sorted(pair.source(f"SELECT * FROM {table} NOT INDEXED"))
    assert pair.verify().equal
    assert pair.drain().handed_over


@pytest.mark.parametrize("rowid", ["", "WITHOUT ROWID"])
def test_a_key_in_such_a_collation_leaves_out_its_table_alone(make_pair: Make, rowid: str) -> None:
    """It cannot be captured, and WITHOUT ROWID not even be read: one finding says so, and `plan` goes on."""
    name = 'the "tags".x'
    schema = f"""CREATE TABLE {{}} (tag TEXT COLLATE unicase, n, o COLLATE unicase, PRIMARY KEY (tag, o)) {rowid};
        INSERT INTO {{}} VALUES ('a', 1, 'x');"""
    pair = _make(make_pair, DECKS + schema.format(*['"the ""tags"".x"'] * 2))
    blocking = [found for found in checked(pair) if found.severity == "blocking"]
    assert [(found.code, found.table) for found in blocking] == [("collation", name)]
    assert tomllib.loads(blocking[0].fix.replace("] ", "]\n"))["tables"][name] == {"skip": True}
    with Source(pair.path) as source:
        plans = proposed_plans(source, pair.settings)[1]
        found = evidence(source, plans, pair.settings, nobody_watches)
    text = mapping_text(pair.settings, {}, plans, found, {}, beside=None, target="")
    assert tomllib.loads(text)["tables"][name]["columns"]["tag"] == "text"
    assert found.rows["decks"] == 2
    assert (name in found.rows) == (not rowid)
    assert ("# not read: its key is in a collation only the application knows" in text) == bool(rowid)
    with Context(pair.settings) as context, pytest.raises(RefusedError, match="uses the collation unicase"):
        dry_run(context, nobody_watches)
    pair.map_otherwise({name: {"skip": True}})
    pair.install()


def test_plan_says_that_its_columns_are_compared_by_bytes(make_pair: Make) -> None:
    """Neither order nor equality is what the application is used to."""
    pair = _make(make_pair, "CREATE TABLE bare (id INTEGER PRIMARY KEY, name TEXT COLLATE unicase)")
    with Source(pair.path) as source:
        plans = proposed_plans(source, pair.settings)[1]
    said = {one.what: one.reason for one in differences(plans)}
    assert "compared by its bytes" in said["column name COLLATE UNICASE"]


def test_an_index_that_is_dropped_under_a_read_is_drift(make_pair: Make) -> None:
    """Beside an index only the application can use, the key's own is named in the read; what follows drift mends it."""
    keyed = "CREATE TABLE k (a TEXT NOT NULL, b COLLATE unicase); CREATE UNIQUE INDEX i ON k (a)"
    pair = _make(make_pair, f"{keyed}; CREATE INDEX j ON k (b); INSERT INTO k VALUES ('x', 'y')")
    with Source(pair.path) as source:
        (plan,) = proposed_plans(source, pair.settings)[1]
        pair.write("DROP INDEX i")
        with pytest.raises(DriftError, match="no such index: i"):
            list(raw_rows(source, plan, 10))
