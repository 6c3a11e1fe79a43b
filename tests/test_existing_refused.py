"""Tables found in place that cannot be filled are refused, with everything named and nothing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.shape import shape_of

from cdcsync.words.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

MISFITS = {
    "rows": ("CREATE TABLE t (id bigint PRIMARY KEY, v text, n bigint); INSERT INTO t VALUES (1)", "holds rows"),
    "no key": ("CREATE TABLE t (id bigint, v text, n bigint)", "no primary key or unique constraint on (id)"),
    "another key": ("CREATE TABLE t (id bigint, v text PRIMARY KEY, n bigint)", "no primary key or unique constraint"),
    "a deferrable key": (
        "CREATE TABLE t (id bigint PRIMARY KEY DEFERRABLE, v text, n bigint)",
        "no primary key or unique constraint",
    ),
    "a partial key": (
        "CREATE TABLE t (id bigint, v text, n bigint); CREATE UNIQUE INDEX ON t (id) WHERE v IS NULL",
        "no primary key or unique constraint",
    ),
    "a trigger": (
        (
            "CREATE TABLE t (id bigint PRIMARY KEY, v text, n bigint);"
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER stamp BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"
        ),
        "has a trigger stamp",
    ),
    "no column": ("CREATE TABLE t (id bigint PRIMARY KEY, n bigint)", "has no column v"),
    "another case": ('CREATE TABLE t (id bigint PRIMARY KEY, "V" text, n bigint)', "has no column v"),
    "wrong type": ("CREATE TABLE t (id bigint PRIMARY KEY, v text, n text[])", "t.n is text[]"),
    "wrong kind": ("CREATE TABLE t (id bigint PRIMARY KEY, v text, n date)", "t.n is date"),
    "NOT NULL extra": (
        "CREATE TABLE t (id bigint PRIMARY KEY, v text, n bigint, tenant int NOT NULL)",
        "t.tenant is NOT NULL without a default",
    ),
    "a view": ("CREATE VIEW t AS SELECT 1 AS id", "no ordinary table"),
    "partitioned": (
        (
            "CREATE TABLE t (id bigint PRIMARY KEY, v text, n bigint) PARTITION BY RANGE (id);"
            "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (MINVALUE) TO (MAXVALUE)"
        ),
        "no ordinary table",
    ),
}


@pytest.mark.parametrize("what", MISFITS)
def test_what_cannot_be_filled_is_named_and_left_alone(make_pair: Make, what: str) -> None:
    """Install refuses with the reason, and neither side changes, the tables that would fit included."""
    statements, reason = MISFITS[what]
    pair = make_pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INTEGER); INSERT INTO t VALUES (1, 'x', 1);"
        "CREATE TABLE o (id INTEGER PRIMARY KEY, u TEXT UNIQUE)"
    )
    pair.execute(statements, "CREATE TABLE o (id bigint PRIMARY KEY, u text UNIQUE)")
    before = shape_of(pair)
    with pytest.raises(RefusedError) as refused:
        pair.install()
    assert reason in str(refused.value)
    assert shape_of(pair) == before
    assert pair.source("SELECT name FROM sqlite_master WHERE name LIKE '%cdcsync%'") == []
    assert pair.target("SELECT to_regnamespace('cdcsync')") == [(None,)]


def test_everything_in_the_way_is_named_at_once(make_pair: Make) -> None:
    """One refusal lists each table's trouble: nobody mends them one install at a time."""
    pair = make_pair("".join(f"CREATE TABLE t{n} (id INTEGER PRIMARY KEY, v TEXT);" for n in range(4)))
    pair.execute(
        "CREATE TABLE t0 (id bigint PRIMARY KEY)",
        "CREATE TABLE t1 (id bigint, v text, more text NOT NULL)",
        "CREATE TABLE t2 (id bigint PRIMARY KEY, v text); INSERT INTO t2 VALUES (1)",
    )
    with pytest.raises(RefusedError) as refused:
        pair.install()
    for reason in (
        "t0 has no column v",
        "t1 has no primary key",
        "t1.more is NOT NULL",
        "t2 is in the way: it holds rows",
    ):
        assert reason in str(refused.value)


def test_a_table_of_another_role_is_refused(make_pair: Make) -> None:
    """Its constraints could not be detached: the refusal names its owner."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with pair.database.server.admin(pair.database.name) as admin:
        admin.execute(b"CREATE TABLE t (id bigint PRIMARY KEY); GRANT ALL ON t TO mover")
    with pytest.raises(RefusedError, match="it belongs to postgres"):
        pair.install()


ALSO_IN_THE_WAY = {
    "a partition": (
        "CREATE TABLE whole (id bigint PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE t PARTITION OF whole FOR VALUES FROM (MINVALUE) TO (MAXVALUE)"
    ),
    "a child": "CREATE TABLE whole (id bigint PRIMARY KEY); CREATE TABLE t (PRIMARY KEY (id)) INHERITS (whole)",
    "a rule": "CREATE TABLE t (id bigint PRIMARY KEY); CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING",
    "row security": (
        "CREATE TABLE t (id bigint PRIMARY KEY); ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
        "ALTER TABLE t FORCE ROW LEVEL SECURITY"
    ),
}


@pytest.mark.parametrize("what", ALSO_IN_THE_WAY)
def test_tables_that_others_reach_past_the_guard_are_refused(make_pair: Make, what: str) -> None:
    """Writes through a parent fire no trigger of the partition; rules and policies change what is written."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    pair.execute(ALSO_IN_THE_WAY[what])
    with pytest.raises(RefusedError, match=r"public\.t "):
        pair.install()
