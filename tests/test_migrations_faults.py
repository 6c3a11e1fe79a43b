"""Migrations at bad moments: with no daemon there, and with one that is killed."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

import pytest
from support.migrations import Bank
from support.migrations_log import NOTICED

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Cli
    from support.migrations import Step
    from support.processes import Processes

KILLS, KILLS_IN_FULL = 10, 50
ROWS = 4000
BEFORE_SECONDS = 0.6
WAITS, ANSWERS = (0.0, 1.0), (0.9, 1.4)
"""Between which seconds after drift was noticed a daemon waits for the schema to stand still, and answers."""


@pytest.fixture(name="bank")
def _bank(cli: Cli, processes: Processes, tmp_path: Path) -> Bank:
    """A bank whose tables Alembic made."""
    return Bank(cli, processes, tmp_path, "alembic", "one transaction")


def test_migrations_while_no_daemon_ran_are_answered_when_it_starts(bank: Bank) -> None:
    """`lag` and `status` tell the drift meanwhile; the gap begins where somebody looked last."""
    bank.cli("install")
    daemon = bank.start_daemon()
    bank.start_writer()
    time.sleep(0.5)
    assert daemon.terminate() == 0
    done = [("account", bank.tool.run(step)) for step in ("add column", "not null", "rename column", "add unique")]
    done.append(("entry", bank.tool.run("add column to entry")))
    lag = bank.cli("lag", expect=1).out
    assert lag.startswith("CDCSYNC WARNING"), lag
    assert "drift" in lag
    assert {drift["table"] for drift in bank.status()["drift"]} == {"account", "entry"}
    bank.start_daemon()
    bank.settle()
    bank.stop_writer()
    gaps = bank.settle()["gaps"]
    bank.assert_equal()
    bank.assert_gaps(gaps, done)


def test_a_daemon_killed_while_it_answers_forgets_no_gap(bank: Bank, *, full: bool) -> None:
    """SIGKILL at random moments of noticing, waiting, reinstalling and repairing, with more migrations in between."""
    bank.add_rows(ROWS)
    bank.cli("install")
    daemon = bank.start_daemon()
    bank.start_writer()
    random = Random(5)
    done: list[tuple[str, Step]] = []
    for number in range(KILLS_IN_FULL if full else KILLS):
        # Now and then it gets to its end: what was forgotten by then does not become part of a later gap.
        if number % 2:
            time.sleep(random.random() * BEFORE_SECONDS)
        else:
            bank.wait_until_logged(daemon, "streaming from position")
        table = random.choice(("account", "entry"))
        done.append((table, bank.tool.run("rebuild" if table == "account" else "rebuild entry")))
        bank.wait_until_logged(daemon, NOTICED)
        time.sleep(random.uniform(*random.choice((WAITS, ANSWERS))))
        daemon.kill()
        daemon = bank.start_daemon(state=None)
    bank.settle()
    bank.stop_writer()
    gaps = bank.settle()["gaps"]
    bank.assert_equal()
    bank.assert_gaps(gaps, done)


def test_a_daemon_killed_while_it_waits_for_the_last_migration_knows_when_the_first_one_was(bank: Bank) -> None:
    """It was alive all the time and said so, but it did not look: a heartbeat does not begin a gap."""
    bank.cli("install")
    daemon = bank.start_daemon()
    bank.start_writer()
    done = [("account", bank.tool.run("rebuild"))]
    for _ in range(4):
        time.sleep(0.5)
        done.append(("entry", bank.tool.run("rebuild entry")))
    daemon.kill()
    assert "captured again" not in daemon.err
    bank.start_daemon()
    bank.settle()
    bank.stop_writer()
    gaps = bank.settle()["gaps"]
    bank.assert_equal()
    bank.assert_gaps(gaps, done)
