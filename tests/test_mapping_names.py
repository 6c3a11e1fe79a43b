"""Names of the target: kept to the letter, or proposed where PostgreSQL would cut them, keeps them or folds them."""

from __future__ import annotations

import sqlite3
import tomllib
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cdcsync.core.mapping_file import Evidence, mapping_text
from cdcsync.core.plan import table_plans
from cdcsync.core.target_names import folded, kept, renamed, renamings
from cdcsync.edges.schema import read_schema
from cdcsync.words.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.cli import Cli
    from support.pair import Pair

    from cdcsync.core.target_names import Spelling

    Make = Callable[..., Pair]

LONG = "a" * 60
UMLAUT = "ä" * 31


def _written(schema: str, spelled: Spelling, tables: dict[str, object] | None = None) -> tuple[dict[str, object], str]:
    """Return the names in the target by those of the source, as the written file gives them, and its text."""
    settings = Settings(source="app.db", tables=tables or {})
    with closing(sqlite3.connect(":memory:")) as source:
        source.executescript(schema)
        plans = table_plans(read_schema(source), settings, {})
        names = renamings(plans, settings, spelled)
        text = mapping_text(settings, {}, renamed(plans, names), Evidence({}, {}, {}), names, beside=None, target="")
        again = table_plans(read_schema(source), Settings(**tomllib.loads(text)), {})
    assert again == renamed(plans, names)
    assert not renamings(again, Settings(**tomllib.loads(text)), spelled)
    return {plan.name: (plan.target, {c.source: c.target for c in plan.columns}) for plan in again}, text


def test_names_are_kept_to_the_letter() -> None:
    """Case, spaces, quotes and reserved words need no target line."""
    schema = 'CREATE TABLE "User" ("Id" INTEGER PRIMARY KEY, "select" TEXT, "a ""b"" c" TEXT, "Größe" TEXT)'
    _, text = _written(schema, kept)
    assert "target" not in text


def test_folded_names_are_lower_case_as_postgres_folds_them() -> None:
    """A to Z become small, other letters stay: that is what an unquoted name means to PostgreSQL."""
    schema = 'CREATE TABLE "UserAccount" ("Id" INTEGER PRIMARY KEY, "eMail" TEXT, plain TEXT, "GRÖSSE" TEXT)'
    names, text = _written(schema, folded)
    columns = {"Id": "id", "eMail": "email", "plain": "plain", "GRÖSSE": "grÖsse"}
    assert names == {"UserAccount": ("useraccount", columns)}
    assert 'target = "useraccount"   # in lower case' in text


def test_names_that_would_be_one_get_distinct_ones() -> None:
    """After the cut at 63 bytes, and beside a target the mapping names; those that fit keep their names."""
    schema = (
        f'CREATE TABLE {LONG}_one (id INTEGER PRIMARY KEY, "{LONG}bcd_x" TEXT, "{LONG}bcd_y" TEXT, "{LONG}bcd" TEXT);'
        f"CREATE TABLE {LONG}_two (id INTEGER PRIMARY KEY); CREATE TABLE Mine (id INTEGER PRIMARY KEY, A TEXT, b TEXT)"
    )
    names, text = _written(schema, folded, {"Mine": {"columns": {"b": {"target": "a"}}}})
    cut = {f"{LONG}bcd_x": f"{LONG}b_2", f"{LONG}bcd_y": f"{LONG}b_3", f"{LONG}bcd": f"{LONG}bcd"}
    assert names == {
        f"{LONG}_one": (f"{LONG}_on", {"id": "id", **cut}),
        f"{LONG}_two": (f"{LONG}_tw", {"id": "id"}),
        "Mine": ("mine", {"id": "id", "A": "a_2", "b": "a"}),
    }
    assert text.count("PostgreSQL keeps 63 bytes of a name") == 4
    assert "another one is called a already" in text


def test_a_long_name_is_proposed_shorter_without_being_asked() -> None:
    """63 bytes, not letters, and never half a letter."""
    names, _ = _written(f'CREATE TABLE "x{UMLAUT}ä" (id INTEGER PRIMARY KEY, "{UMLAUT}x" TEXT, "{UMLAUT}ü" TEXT)', kept)
    assert names == {f"x{UMLAUT}ä": (f"x{UMLAUT}", {"id": "id", f"{UMLAUT}x": f"{UMLAUT}x", f"{UMLAUT}ü": UMLAUT})}


@pytest.mark.parametrize("name", ["ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"])
def test_a_system_column_gets_another_name(name: str) -> None:
    """PostgreSQL has these in every table; in capitals they are free, unless they are folded."""
    schema = "".join(
        f"CREATE TABLE {t} (id INTEGER PRIMARY KEY, {c} TEXT);" for t, c in (("t", name), ("u", name.upper()))
    )
    names, text = _written(schema, kept)
    assert names == {"t": ("t", {"id": "id", name: f"{name}_2"}), "u": ("u", {"id": "id", name.upper(): name.upper()})}
    assert f"every table of PostgreSQL has a system column {name}" in text
    assert _written(schema, folded)[0]["u"] == ("u", {"id": "id", name.upper(): f"{name}_2"})


def test_folded_names_go_through_every_road(make_pair: Make) -> None:
    """Under the names plan proposes, foreign keys, checks and indexes arrive, and the stream and verify go on."""
    schema = (
        f'CREATE TABLE "Parent" ("Id" INTEGER PRIMARY KEY, "{LONG}Name" TEXT CHECK ("{LONG}Name" <> \'\'));'
        'CREATE TABLE "Child" ("Id" INTEGER PRIMARY KEY, "ParentId" INTEGER REFERENCES "Parent" ("Id"), xmin TEXT);'
        'CREATE INDEX "ByParent" ON "Child" ("ParentId", xmin);'
        "INSERT INTO Parent VALUES (1, 'x'); INSERT INTO Child VALUES (1, 1, 'y')"
    )
    _, text = _written(schema.partition("INSERT")[0], folded)
    pair = make_pair(schema, tables=Settings(**tomllib.loads(text)).tables)
    pair.install()
    pair.sync()
    pair.write("INSERT INTO Child VALUES (2, 1, 'z')", "DELETE FROM Child WHERE Id = 1")
    pair.sync()
    assert pair.target("SELECT id, parentid, xmin_2 FROM child") == [(2, 1, "z")]
    assert pair.verify().equal
    handover = pair.drain().handover
    assert handover is not None
    assert handover.remarks == []
    kinds = "SELECT contype::text FROM pg_constraint WHERE conrelid IN ('child'::regclass, 'parent'::regclass)"
    assert sorted(kind for (kind,) in pair.target(kinds) if kind in "cf") == ["c", "f"]


def test_plan_writes_folded_names_on_request(cli: Cli) -> None:
    """`plan --fold-names --write` keeps them as lines that can be edited; the printed statements use them too."""
    with closing(sqlite3.connect(cli.cwd / "app.db")) as source:
        source.execute('CREATE TABLE "Ab" ("Cd" INTEGER PRIMARY KEY)')
    cli("plan", "--source", "app.db", "--fold-names", "--write", "folded.toml")
    written = tomllib.loads((cli.cwd / "folded.toml").read_text())
    assert written["tables"] == {"Ab": {"target": "ab", "columns": {"Cd": {"type": "bigint", "target": "cd"}}}}
    assert '"ab"' in cli("plan", "--source", "app.db", "--fold-names").out.partition("CREATE TABLE")[2]
    assert "target" not in cli("plan", "--source", "app.db").out.partition("-- The target")[0]
