"""Django's schema editor changes tables that are being written to: equal in the end, the gaps reported."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from support.migrations import Bank

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Cli
    from support.processes import Processes

# Step, table of which writes may be missed, pause after it.
STEPS = (
    ("add null column", None, 0.1),
    ("add column", "account", 0.0),
    ("not null", "account", 1.4),
    ("longer", "account", 0.0),
    ("add unique", "account", 0.0),
    ("add index", None, 0.3),
    ("add check", "account", 0.0),
    ("drop unique", "account", 0.0),
    ("add column to entry", "entry", 1.4),
    ("add unique together", "entry", 0.2),
    ("rename column", None, 0.0),
    ("add partial unique", "account", 0.0),
    ("null", "account", 0.0),
    ("drop column", None, 1.4),
    ("drop unique together", "entry", 0.0),
    ("drop partial unique", None, 0.0),
    ("rebuild", "account", 0.3),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let transactions begin as they do by default; with --full also as the manual advises for SQLite."""
    modes = ["DEFERRED", "IMMEDIATE"] if metafunc.config.getoption("--full") else ["DEFERRED"]
    metafunc.parametrize("bank", modes, indirect=True)


@pytest.fixture(name="bank")
def _bank(request: pytest.FixtureRequest, cli: Cli, processes: Processes, tmp_path: Path) -> Bank:
    """A bank whose tables Django made, with its transactions as they begin by default, or as the test wants them."""
    return Bank(cli, processes, tmp_path, "django", request.param)


def test_tables_changed_under_load_end_equal_with_their_gaps_reported(bank: Bank) -> None:
    """Fields, constraints and indexes come and go; nothing acknowledged is lost, nothing unseen is left untold."""
    bank.cli("install")
    bank.start_daemon()
    bank.start_writer()
    done = []
    for step, table, pause in STEPS:
        done.append((table, bank.tool.run(step)))
        time.sleep(pause)
    bank.settle()
    bank.stop_writer()
    gaps = bank.settle()["gaps"]
    bank.assert_equal()
    bank.assert_noticed([step for _, step in done if step.name != "add index"])
    bank.assert_gaps(gaps, [(table, step) for table, step in done if table])
