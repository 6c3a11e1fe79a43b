"""Migrations that cannot be answered by repair alone: a person is asked, or a name is not what it will be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.migrations import Bank

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Cli
    from support.postgres import Database
    from support.processes import Processes

ALEMBIC, DJANGO = ("alembic", "one transaction"), ("django", "IMMEDIATE")
# Arguments of each test, of which the first stands for all unless --full is given.
CASES: dict[str, tuple[str, list[Any]]] = {
    "test_a_changed_type_stops_the_daemon_with_the_exact_statement": ("bank", [DJANGO, ALEMBIC]),
    "test_a_copy_without_a_source_warns_and_blocks_the_handover_until_it_is_dropped": (
        "bank, step, table",
        [(DJANGO, "rename model", "account"), (ALEMBIC, "drop table", "entry"), (ALEMBIC, "rename table", "entry")],
    ),
    "test_a_table_that_a_tool_makes_in_between_is_not_captured_under_its_name": (
        "bank",
        [("alembic", "default"), DJANGO],
    ),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with its cases."""
    names, cases = CASES[metafunc.function.__name__]
    wanted = cases if metafunc.config.getoption("--full") else cases[:1]
    metafunc.parametrize(names, wanted, indirect=["bank"], ids=lambda value: value[0] if type(value) is tuple else None)


@pytest.fixture(name="bank")
def _bank(request: pytest.FixtureRequest, cli: Cli, processes: Processes, tmp_path: Path) -> Bank:
    """A bank whose tables were made by the tool, and in the mode, that the case names."""
    return Bank(cli, processes, tmp_path, *request.param)


def test_a_changed_type_stops_the_daemon_with_the_exact_statement(bank: Bank, database: Database) -> None:
    """Exit 3; the statement of its last line is run, and it goes on where it was, with the column's index."""
    bank.tool.run("add index")
    bank.cli("install")
    daemon = bank.start_daemon()
    bank.start_writer()
    bank.tool.run("another type")
    assert daemon.wait() == 3
    statement = bank.statement_for_a_person(daemon)
    assert statement == 'ALTER TABLE "public"."account" DROP COLUMN "score"'
    bank.cli("psql", "-c", statement)
    bank.start_daemon()
    bank.settle()
    bank.stop_writer()
    bank.settle()
    bank.assert_equal()
    assert database.value("SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%(score)'") == 1


def test_a_copy_without_a_source_warns_and_blocks_the_handover_until_it_is_dropped(
    bank: Bank, step: str, table: str
) -> None:
    """The rest goes on; `lag` is WARNING and `drain --handover` refuses with the statement, which then lets it pass."""
    bank.cli("install")
    bank.start_daemon()
    assert bank.cli("lag").out.startswith("CDCSYNC OK")
    bank.start_writer()
    bank.tool.run(step)
    noticed = bank.cli("lag", "--json", expect=1).json
    assert noticed["status"] == "WARNING"
    assert "drift" in noticed["message"]
    bank.wait_for("EXISTS (SELECT FROM cdcsync.drift WHERE kind = 'dropped') AND state = 'streaming'")
    answered = bank.cli("lag", "--json", expect=1).json
    assert (answered["status"], answered["state"]) == ("WARNING", "streaming")
    bank.stop_writer()
    refused = bank.cli("drain", "--handover", "--quiet-seconds", "0.2", expect=1)
    statement = f'DROP TABLE "public"."{table}"'
    assert f"until you run {statement}" in refused.err, refused
    bank.assert_equal(gone=table if step == "drop table" else None)
    bank.cli("psql", "-c", statement)
    assert bank.cli("drain", "--handover", "--quiet-seconds", "0.2", "--json").json["handed_over"]


def test_a_table_that_a_tool_makes_in_between_is_not_captured_under_its_name(bank: Bank, database: Database) -> None:
    """Even a copy so long that the new table looks like one to stay ends under the name it was made for."""
    bank.cli("install")
    bank.start_daemon("--new-tables", "capture")
    bank.tool.run("slow rebuild")
    bank.wait_for("EXISTS (SELECT FROM cdcsync.drift WHERE table_name = 'account' AND closed_at IS NOT NULL)")
    bank.assert_equal()
    names = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
    bookkeeping = [name for (name,) in database.rows(names) if name not in {"account", "entry"}]
    assert bookkeeping in (["alembic_version"], ["django_migrations"])
    assert {table["name"] for table in bank.status()["tables"]} == {"account", "entry", *bookkeeping}
