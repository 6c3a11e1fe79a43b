"""Foreign keys: actions, deferral, and what cannot refer."""

from __future__ import annotations

import psycopg
from support.ddl import build, execute, texts

from cdcsync.core.ddl.foreign_keys import can_refer


def test_foreign_keys() -> None:
    """Actions and deferral are carried, nothing is validated yet; cycles do not matter."""
    built = build(
        "CREATE TABLE p (id INTEGER PRIMARY KEY,"
        " up INT CONSTRAINT upward REFERENCES P DEFERRABLE INITIALLY DEFERRED CHECK (up > 0),"
        " c INT NOT NULL REFERENCES c (A) NOT DEFERRABLE INITIALLY DEFERRED);"
        "CREATE TABLE c (a INT, b TEXT, UNIQUE (b, a), PRIMARY KEY (a),"
        " FOREIGN KEY (b, a) REFERENCES c (b, a) ON UPDATE SET DEFAULT ON DELETE RESTRICT)"
    )
    head = 'ALTER TABLE "app"."{}" ADD CONSTRAINT '
    actions = "ON UPDATE NO ACTION ON DELETE NO ACTION"
    assert sorted(texts(built, "foreign_key")) == [
        head.format("c") + '"c_b_a_fkey" FOREIGN KEY ("b", "a") REFERENCES "app"."c" ("b", "a") '
        "ON UPDATE SET DEFAULT ON DELETE RESTRICT NOT VALID",
        head.format("p") + f'"p_c_fkey" FOREIGN KEY ("c") REFERENCES "app"."c" ("a") {actions} NOT VALID',
        head.format("p") + f'"upward" FOREIGN KEY ("up") REFERENCES "app"."p" ("id") {actions} '
        "DEFERRABLE INITIALLY DEFERRED NOT VALID",
    ]


def test_a_key_that_may_be_deferred_stays_so() -> None:
    """DEFERRABLE alone leaves it to the transaction; MATCH, which SQLite reads and forgets, is forgotten."""
    built = build(
        "CREATE TABLE p (id INTEGER PRIMARY KEY);"
        "CREATE TABLE c (a INT REFERENCES p MATCH FULL DEFERRABLE, b INT REFERENCES p DEFERRABLE INITIALLY IMMEDIATE)"
    )
    assert [statement.split("NO ACTION")[-1] for statement in texts(built, "foreign_key")] == [
        " DEFERRABLE NOT VALID"
    ] * 2
    assert built[1] == ()


ACTIONS = {"NO ACTION": "a", "RESTRICT": "r", "CASCADE": "c", "SET NULL": "n", "SET DEFAULT": "d"}


def test_the_catalog_knows_every_action(postgres: psycopg.Connection) -> None:
    """What SQLite is to do with the children, PostgreSQL does; a key may refer to its own table and to a UNIQUE."""
    keys = [
        f"c{place} INT DEFAULT 0 REFERENCES t (u) ON DELETE {action} ON UPDATE {action} DEFERRABLE INITIALLY DEFERRED"
        for place, action in enumerate(ACTIONS)
    ]
    execute(postgres, build(f"CREATE TABLE t (id INTEGER PRIMARY KEY, u INT UNIQUE, {', '.join(keys)})"))
    query = """
        SELECT confdeltype::text, confupdtype::text, confmatchtype::text, condeferrable, condeferred
        FROM pg_constraint WHERE contype = 'f' AND connamespace = 'app'::regnamespace ORDER BY conname
    """
    assert postgres.execute(query).fetchall() == [(code, code, "s", True, True) for code in ACTIONS.values()]


def test_foreign_keys_that_are_not_carried() -> None:
    """A parent that is not moved, not unique or of another type is listed with its reason."""
    built = build(
        "CREATE TABLE p (id INTEGER PRIMARY KEY, mail TEXT UNIQUE COLLATE NOCASE, u TEXT UNIQUE);"
        "CREATE TABLE skipped (id INTEGER PRIMARY KEY);"
        "CREATE TABLE c (a TEXT REFERENCES p, b TEXT REFERENCES p (mail), d INT REFERENCES skipped,"
        " e INT REFERENCES gone (id), f TEXT REFERENCES p (u), left INT REFERENCES p)",
        skipped={"skip": True},
        c={"columns": {"f": "uuid", "left": {"skip": True}}},
    )
    assert texts(built, "foreign_key") == []
    assert {left.what.split(" to ")[0][13:-1]: left.reason for left in built[1]} == {
        "a": "a is text, p.id is bigint",
        "b": "p (mail) is not unique in PostgreSQL",
        "d": "skipped is left out by the mapping",
        "e": "gone is not among the tables that are moved",
        "f": "f is uuid, p.u is text",
        "left": "the mapping leaves out the column left",
    }


def test_types_a_foreign_key_may_join(postgres: psycopg.Connection) -> None:
    """The rule says of every pair of types what PostgreSQL says."""
    types = ["smallint", "bigint", "numeric(9,2)", "real", "double precision", "text", "character varying(5)"]
    types += ["character(5)", "uuid", "bytea", "boolean", "date", "timestamp with time zone"]
    types += ["timestamp without time zone", "time without time zone", "jsonb"]
    wrong = []
    for number, parent in enumerate(types):
        postgres.execute(f"CREATE TABLE p{number} (id {parent} PRIMARY KEY)")
        for child in types:
            try:
                postgres.execute(f"CREATE TEMP TABLE c (id {child})")
                postgres.execute(f"CREATE TABLE app.c (id {child} REFERENCES p{number})")
                taken = True
            except psycopg.errors.DatatypeMismatch:
                taken = False
            postgres.execute("DROP TABLE IF EXISTS pg_temp.c; DROP TABLE IF EXISTS app.c")
            wrong += [(child, parent)] if taken != can_refer(child, parent) else []
    assert wrong == []
