"""Guarantee 2: in WAL mode no statement of the application fails because of cdcsync.

The applications are processes of their own. An application that is the only writer and gets SQLITE_BUSY got it from
cdcsync; only the moment of `install`, which is announced and measured, is exempt.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import node, shop
from support.applications import Application, Report, head_of
from support.compare import assert_same
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.cli import Cli
    from support.postgres import Database
    from support.processes import Processes

NOVELS = Path(__file__).parents[1] / "examples" / "novels"
SCRIPT = Path(__file__).parent / "support" / "applications.mjs"
JAVASCRIPT = ("plain", "transaction")
PYTHON = ("hasty", "hammer", "deferred", "atomic")
SECONDS, SECONDS_IN_FULL = 1.0, 300.0
CUSTOMERS, CUSTOMERS_IN_FULL = 5_000, 200_000
VERIFIED = {0, 3}
"""Equal, or rows that never stood still: which is no harm, and no difference."""

# What lies between the install's own clock and the application's.
SLACK_SECONDS = 0.05
TURN_SECONDS = 0.1
"""Between two steps of it, on a busy machine."""


@pytest.fixture(scope="session")
def javascript(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the Node applications and their packages."""
    kept = request.config.rootpath / ".pytest_cache" / "d" / "novels"
    folder = node.prepare(NOVELS, kept, tmp_path_factory.mktemp("applications") / "code")
    shutil.copy(SCRIPT, folder)
    return folder


@pytest.fixture
def start_application(request: pytest.FixtureRequest, processes: Processes, source: Path) -> Callable[..., Application]:
    """Start an application of a kind on the source."""

    def start(kind: str, rate: float = 300.0) -> Application:
        folder = request.getfixturevalue("javascript") if kind in JAVASCRIPT else None
        return Application(processes, kind, source, rate, javascript=folder)

    return start


def _refill(source: Path, customers: int) -> None:
    source.unlink()
    shop.create(source, customers=customers)


def _install_window(source: Path, said: str) -> tuple[float, float]:
    """Return when `install` held the write lock: the changelog's first entry says since when, its output how long."""
    with closing(sqlite3.connect(source)) as db:
        at = float(db.execute("SELECT (at - 2440587.5) * 86400.0 FROM _cdcsync_log WHERE seq = 1").fetchone()[0])
    found = re.search(r"write lock was held for (?:[\d.]+ ms at most, )?([\d.]+) ms(?: in (\d+) steps)?", said)
    assert found is not None, said
    turns = int(found[2] or 1) - 1
    return at - SLACK_SECONDS, at + float(found[1]) / 1000 + turns * TURN_SECONDS + SLACK_SECONDS


@pytest.mark.parametrize("kind", [*PYTHON, *JAVASCRIPT])
def test_application_alone_meets_no_error_outside_installs_own_window(
    cli: Cli,
    source: Path,
    database: Database,
    start_application: Callable[..., Application],
    *,
    kind: str,
    full: bool,
) -> None:
    """Through install, copy, stream, verification and drain no statement of the only writer fails."""
    _refill(source, CUSTOMERS_IN_FULL if full else CUSTOMERS)
    application = start_application(kind, 5_000 if kind == "hammer" else 300)
    daemon = cli.daemon("--install")
    time.sleep(SECONDS_IN_FULL if full else SECONDS)
    assert cli("verify", expect=None, seconds=1200).code in VERIFIED
    cli("drain", "--timeout", "30", "--quiet-seconds", "0.1", expect=1)
    report = application.stop()
    window = _install_window(source, daemon.out)
    outside = report.failures_outside(*window)
    report.tell()
    sys.stdout.write(f"{len(report.failures) - len(outside)} of the errors lie in install's own window\n")
    assert report.commits > 0
    assert not outside, f"{len(outside)} of {report.commits} failed: {outside[:5]}"
    wait_until(lambda: cli.applied() == head_of(source), "everything is applied")
    assert_same(source, database)


def test_applications_together_meet_no_kind_of_error_that_they_do_not_meet_without_cdcsync(
    cli: Cli, source: Path, start_application: Callable[..., Application], *, full: bool
) -> None:
    """Six writers at once get in each other's way; cdcsync adds nothing to what they see of that."""
    seconds = SECONDS_IN_FULL if full else 2 * SECONDS

    def run_all(while_they_run: Callable[[], None]) -> list[Report]:
        _refill(source, 500)
        started = [start_application(kind) for kind in (*PYTHON, *JAVASCRIPT)]
        while_they_run()
        return [application.stop() for application in started]

    def with_cdcsync() -> None:
        cli.daemon("--install")
        time.sleep(seconds)

    without, with_it = run_all(lambda: time.sleep(seconds)), run_all(with_cdcsync)
    for title, reports in (("without", without), ("with", with_it)):
        sys.stdout.write(f"{title} cdcsync\n")
        for report in reports:
            report.tell()
    known = set().union(*(report.kinds() for report in without))
    assert known, "the writers did not meet each other"
    assert set().union(*(report.kinds() for report in with_it)) <= known
