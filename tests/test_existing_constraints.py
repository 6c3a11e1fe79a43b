"""Whatever keeps rows apart or together in a table found in place is out of the way meanwhile, and back as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.shape import CONSTRAINTS, shape_of

from cdcsync.words.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

SOURCE = "CREATE TABLE {0} (id INTEGER PRIMARY KEY, u TEXT, v TEXT);"
ROWS = "INSERT INTO {0} VALUES (1, 'a', 'b'), (2, 'b', 'a'), (3, NULL, 'z');"
SWAP = (
    "UPDATE {0} SET u = 'tmp' WHERE id = 1",
    "UPDATE {0} SET u = 'a' WHERE id = 2",
    "UPDATE {0} SET u = 'b' WHERE id = 1",
)
PLAIN = "CREATE TABLE {0} (id bigint PRIMARY KEY, u text, v text);"
TABLES = {
    "key_with_more": "CREATE TABLE {0} (id bigint, u text, v text); CREATE UNIQUE INDEX {0}_k ON {0} (id) INCLUDE (v)",
    "unique_with_more": PLAIN + "CREATE UNIQUE INDEX {0}_i ON {0} (u) INCLUDE (v)",
    "another_primary_key": "CREATE TABLE {0} (id bigint UNIQUE, u text, v text PRIMARY KEY)",
    "surrogate_key": "CREATE TABLE {0} (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id int UNIQUE,"
    "u text, v text)",
    "equal_nulls": "CREATE TABLE {0} (id bigint PRIMARY KEY, u text, v text, UNIQUE NULLS NOT DISTINCT (u))",
    "expression": PLAIN + "CREATE UNIQUE INDEX {0}_i ON {0} (upper(u)) WHERE id > 0",
    "exclusion": "CREATE TABLE {0} (id bigint PRIMARY KEY, u text, v text, EXCLUDE USING btree (u WITH =))",
    "excluding_key": "CREATE TABLE {0} (id bigint PRIMARY KEY, u text, v text, EXCLUDE USING btree (id WITH =))",
    "deferred": "CREATE TABLE {0} (id bigint PRIMARY KEY, u text UNIQUE DEFERRABLE INITIALLY DEFERRED, v text)",
    "unchecked": PLAIN + "ALTER TABLE {0} ADD CONSTRAINT {0}_c CHECK (id < 1000) NOT VALID",
    "row_security": PLAIN + "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY; CREATE POLICY nobody ON {0} USING (false)",
    "referred_unique": "CREATE TABLE {0} (id bigint PRIMARY KEY, u text UNIQUE, v text);"
    "CREATE TABLE {0}_other (u text REFERENCES {0} (u) ON DELETE CASCADE ON UPDATE CASCADE)",
    "referred_index": PLAIN + "CREATE UNIQUE INDEX {0}_i ON {0} (u);"
    "CREATE TABLE {0}_other (u text REFERENCES {0} (u) ON DELETE SET NULL)",
    "referred_by_the_same_name": PLAIN
    + "CREATE TABLE {0}_one (t bigint CONSTRAINT same REFERENCES {0} (id));"
    + "CREATE TABLE {0}_two (t bigint CONSTRAINT same REFERENCES {0} (id) ON DELETE CASCADE)",
    "referred_by_partitions": PLAIN
    + "CREATE TABLE {0}_other (t bigint REFERENCES {0} (id)) PARTITION BY RANGE (t);"
    + "CREATE TABLE {0}_part PARTITION OF {0}_other FOR VALUES FROM (MINVALUE) TO (MAXVALUE)",
    "self_reference": "CREATE TABLE {0} (id bigint PRIMARY KEY, u text UNIQUE REFERENCES {0} (v), v text UNIQUE)",
}


@pytest.mark.parametrize("end", ["handover", "uninstall"])
def test_rows_arrive_and_everything_is_back_as_it_was(make_pair: Make, end: str) -> None:
    """A swap of two unique values gets through, and the shape afterwards is the shape before."""
    pair = make_pair("".join((SOURCE + ROWS).format(name) for name in TABLES))
    pair.execute(*(text.format(name) for name, text in TABLES.items()))
    before, valid = shape_of(pair), pair.target(CONSTRAINTS)
    pair.install()
    if end == "handover":
        pair.sync()
        pair.write(*(statement.format(name) for statement in SWAP for name in TABLES))
        pair.sync()
        assert pair.drain().handed_over
        for name in TABLES:
            assert pair.target(f"SELECT id, u FROM {name} ORDER BY id") == [(1, "b"), (2, "a"), (3, None)], name
    else:
        pair.uninstall()
    assert shape_of(pair) == before
    assert pair.target(CONSTRAINTS) == valid


def test_foreign_keys_of_one_name_on_several_tables_are_each_back(make_pair: Make) -> None:
    """A name is unique within its table only: Synapse has event_stream_ordering_fkey three times."""
    children = ("a", "b", "c")
    pair = make_pair(
        "CREATE TABLE events (id INTEGER PRIMARY KEY); INSERT INTO events VALUES (1);"
        + "".join(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, e INTEGER REFERENCES events);" for name in children)
    )
    pair.execute("CREATE TABLE events (id bigint PRIMARY KEY)")
    for name in children:
        columns = "id bigint PRIMARY KEY, e bigint CONSTRAINT event_fkey REFERENCES events"
        pair.execute(f"CREATE TABLE {name} ({columns})")
    before, valid = shape_of(pair), pair.target(CONSTRAINTS)
    pair.install()
    for _ in range(2):
        pair.sync()
        assert pair.verify().equal
        assert pair.cutover().done
        assert (shape_of(pair), pair.target(CONSTRAINTS)) == (before, valid)
        assert pair.rollback().done
    pair.uninstall()
    assert (shape_of(pair), pair.target(CONSTRAINTS)) == (before, valid)


def test_a_reference_from_another_table_that_does_not_hold_is_remarked(make_pair: Make) -> None:
    """Rows of a table we do not copy refer to one that SQLite does not have: the foreign key is back, unchecked."""
    pair = make_pair((SOURCE + ROWS).format("t"))
    pair.execute(
        PLAIN.format("t"),
        "CREATE TABLE notes (t bigint CONSTRAINT notes_t REFERENCES t (id))",
    )
    pair.install()
    pair.execute("INSERT INTO notes VALUES (1), (99)")
    pair.sync()
    report = pair.drain().handover
    assert report is not None
    assert [remark.partition(":")[0] for remark in report.remarks] == ["foreign key notes_t of notes"]
    assert ("notes", "notes_t", "FOREIGN KEY (t) REFERENCES t(id) NOT VALID", False) in pair.target(CONSTRAINTS)


def test_what_does_not_hold_any_more_is_remarked_at_the_handover(make_pair: Make) -> None:
    """A unique constraint that SQLite does not have is refused, named in the report, and never stops the handover."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'a')")
    pair.execute("CREATE TABLE t (id bigint PRIMARY KEY, u text UNIQUE)")
    pair.install()
    pair.sync()
    report = pair.drain().handover
    assert report is not None
    assert [remark.partition(" was refused")[0] for remark in report.remarks] == ["unique t_u_key on t"]


def test_what_was_refused_is_tried_again_at_the_handover(make_pair: Make) -> None:
    """Two rows had one value when the copy was complete; by now they differ."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'a')")
    pair.execute("CREATE TABLE t (id bigint PRIMARY KEY, u text UNIQUE)")
    before = shape_of(pair)
    pair.install()
    pair.sync()
    pair.write("UPDATE t SET u = 'b' WHERE id = 2")
    assert pair.drain().handed_over
    assert shape_of(pair) == before


def test_a_table_that_is_made_anew_meanwhile_gets_its_own_constraints_back(make_pair: Make) -> None:
    """Somebody ran the migrations again: what was taken off the table before is no second claim to the same names."""
    target = "CREATE TABLE t (id bigint PRIMARY KEY, u text UNIQUE, v text REFERENCES t (u) ON DELETE CASCADE)"
    pair = make_pair((SOURCE + ROWS).format("t"))
    pair.execute(target)
    before = shape_of(pair)
    pair.install()
    pair.execute("DROP TABLE t", target)
    pair.write("UPDATE t SET v = NULL WHERE id = 3")
    pair.sync()
    report = pair.drain().handover
    assert report is not None
    assert report.remarks == []
    assert shape_of(pair) == before


def test_a_reference_that_could_not_be_taken_off_or_brought_back_is_refused(make_pair: Make) -> None:
    """From a table of another role, or to one this role may not refer to: said before anything is installed."""
    pair = make_pair((SOURCE + ROWS).format("t"))
    pair.execute(PLAIN.format("t"))
    with pair.database.server.admin(pair.database.name) as admin:
        admin.execute(b"CREATE TABLE notes (t bigint CONSTRAINT notes_t REFERENCES t (id))")
        admin.execute(b"CREATE TABLE tenants (id text PRIMARY KEY)")
        admin.execute(b"ALTER TABLE t ADD CONSTRAINT t_u FOREIGN KEY (u) REFERENCES tenants (id)")
    with pytest.raises(RefusedError) as refused:
        pair.install()
    assert "foreign key notes_t of public.notes" in str(refused.value)
    assert "foreign key t_u of public.t" in str(refused.value)


def test_a_primary_key_that_a_view_needs_is_refused_without_a_trace(make_pair: Make) -> None:
    """PostgreSQL does not let go of it: the refusal says so, and the unique constraint beside it is where it was."""
    pair = make_pair((SOURCE + ROWS).format("t"))
    pair.execute(
        "CREATE TABLE t (id bigint UNIQUE, u text UNIQUE, v text PRIMARY KEY)",
        "CREATE VIEW counted AS SELECT v, u, count(*) FROM t GROUP BY v",
    )
    before = shape_of(pair)
    with pytest.raises(RefusedError, match="does not let go of it"):
        pair.install()
    assert shape_of(pair) == before
    assert pair.source("SELECT name FROM sqlite_master WHERE name LIKE '%cdcsync%'") == []
