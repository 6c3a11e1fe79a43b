"""Alembic's batch mode rebuilds tables that are being written to: equal in the end, the gaps reported."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from support.migrations import Bank

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Cli
    from support.processes import Processes

# Step, table it rebuilds, pause after it: some are answered one by one, some while another is being answered.
STEPS = (
    ("add column", "account", 1.3),
    ("not null", "account", 0.0),
    ("longer", "account", 0.3),
    ("add column to entry", "entry", 0.0),
    ("add unique", "account", 1.3),
    ("add index", "account", 0.0),
    ("add check", "account", 0.2),
    ("rename column", "account", 0.2),
    ("drop unique", "account", 1.3),
    ("drop index", "account", 0.0),
    ("drop column", "account", 0.1),
    ("rebuild entry", "entry", 0.0),
)


@pytest.fixture(name="bank")
def _bank(request: pytest.FixtureRequest, cli: Cli, processes: Processes, tmp_path: Path) -> Bank:
    """A bank whose tables Alembic made, with its transactions as the test wants them."""
    return Bank(cli, processes, tmp_path, "alembic", getattr(request, "param", "one transaction"))


@pytest.mark.parametrize("bank", ["default", "one transaction"], indirect=True)
def test_tables_rebuilt_under_load_end_equal_with_their_gaps_reported(bank: Bank) -> None:
    """Columns, constraints and indexes come and go; nothing acknowledged is lost, nothing unseen is left untold."""
    bank.cli("install")
    bank.start_daemon()
    bank.start_writer()
    done = []
    for step, table, pause in STEPS:
        done.append((table, bank.tool.run(step)))
        time.sleep(pause)
    bank.settle()
    # The unique constraint is gone on both sides; the others are there, see below.
    bank.write("UPDATE account SET nick = 'the same' WHERE id < 10")
    bank.stop_writer()
    gaps = bank.settle()["gaps"]
    bank.assert_equal()
    bank.assert_noticed([step for _, step in done])
    bank.assert_gaps(gaps, done)
    bank.assert_refused_by_postgresql("UPDATE account SET nick = NULL WHERE id = 1")
    assert any("rank" in statement for statement in bank.checks_of_the_handover("account"))


@pytest.mark.parametrize("bank", ["default"], indirect=True)
def test_without_cdcsync_the_application_meets_the_same_errors(bank: Bank) -> None:
    """What the writer is allowed to meet beside cdcsync it meets without it too."""
    bank.start_writer()
    for step, _, _ in STEPS:
        bank.tool.run(step)
        time.sleep(0.1)
    assert bank.stop_writer()["errors"]
