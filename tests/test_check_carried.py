"""`check` says what of the schema will not be in PostgreSQL: one line a kind, and apart what refuses rows later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.findings import checked

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.cli import Cli
    from support.pair import Pair

    Make = Callable[..., Pair]

SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT (quote(x'00')), b TEXT DEFAULT (quote(x'01')),
    c INTEGER CHECK (hex(c) <> ''), d AS (a || 'x'), e TEXT COLLATE NOCASE, CHECK (hex(a) <> ''));
CREATE INDEX hexed ON t (hex(a));
CREATE TABLE u (id INTEGER PRIMARY KEY, v UNIQUE, w);
CREATE UNIQUE INDEX by_w ON u (w);
CREATE UNIQUE INDEX by_c ON t (c);
CREATE VIEW one AS SELECT 1;
"""
TRIGGERS = "".join(f"CREATE TRIGGER tr{n} AFTER INSERT ON u WHEN new.w = {n} BEGIN SELECT 1; END;" for n in range(12))


def test_what_is_not_carried_is_one_line_a_kind(make_pair: Make) -> None:
    """A default that a NOT NULL column loses is a warning: the application's INSERT will fail."""
    found = checked(make_pair(SCHEMA + TRIGGERS))
    (lost,) = (one for one in found if one.code == "default_lost")
    assert (lost.severity, lost.table, lost.column) == ("warning", "t", "a")
    assert "[tables.t.columns]" in lost.fix
    said = {one.message.partition(" not carried")[0]: one for one in found if one.code == "not_carried"}
    assert set(said) == {
        "2 CHECKs are",
        "1 default is",
        "1 generated column is",
        "1 index is",
        "1 collation is",
    }
    assert all(one.severity == "info" for one in said.values())
    assert "t: CHECK (HEX" in said["2 CHECKs are"].message


def test_what_is_left_alone_and_what_migrations_cannot_drop_is_told_once(make_pair: Make) -> None:
    """Twelve triggers are one line, cut after ten."""
    found = checked(make_pair(SCHEMA + TRIGGERS))
    left = [one.message for one in found if one.code == "not_migrated"]
    assert left == [
        "one is not migrated: a view: write it again for PostgreSQL if it is needed",
        "12 are not migrated, each a trigger: write it again for PostgreSQL if it is needed: "
        + ", ".join(f"tr{n}" for n in range(10))
        + " and 2 more",
    ]
    (drop,) = (one for one in found if one.code == "drop_column")
    assert drop.message.endswith(": t (c), u (w)")


def test_a_table_found_in_the_target_keeps_its_own_schema(make_pair: Make) -> None:
    """Nothing of ours is missing there."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, c INTEGER CHECK (hex(c) <> ''))")
    pair.execute("CREATE TABLE t (id bigint PRIMARY KEY, c bigint)")
    assert [one for one in checked(pair) if one.code == "not_carried"] == []


def test_the_text_ends_with_how_many_there_are(cli: Cli, make_pair: Make) -> None:
    """Blocking ones come first, notes last."""
    pair = make_pair(SCHEMA)
    out = cli("check", "--source", pair.path).out.splitlines()
    kinds = [line.partition(":")[0] for line in out if line.startswith(("blocking:", "warning:", "info:"))]
    assert kinds == sorted(kinds, key=["blocking", "warning", "info"].index)
    warnings, notes = kinds.count("warning"), kinds.count("info")
    assert out[-2:] == [f"0 blocking, {warnings} warning{'s' * (warnings != 1)}, {notes} notes", "ready to install"]
