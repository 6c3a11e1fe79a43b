"""`cdcsync run`."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from cdcsync.cli import install as install_verb
from cdcsync.cli import show
from cdcsync.cli.options import JsonOption, with_context
from cdcsync.machine.context import Context
from cdcsync.machine.daemon import Daemon
from cdcsync.machine.dry_run import FIRST, DryRunReport, dry_run
from cdcsync.machine.install import install
from cdcsync.machine.status import status
from cdcsync.words.errors import StopRequestedError, UsageError


@with_context
def command(
    context: Context,
    *,
    once: Annotated[bool, typer.Option("--once", help="Stop when caught up.")] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="With --once: try every row, keep none.")] = False,
    first_install: Annotated[bool, typer.Option("--install", help="Install first.")] = False,
    json: JsonOption = False,
) -> int:
    """Copy what is not copied, then stream changes until SIGTERM."""
    if dry:
        if not once:
            message = "--dry-run goes with --once"
            raise UsageError(message)
        return _dry_run(context, json=json)
    if first_install:
        install_verb.report(install(context))
    daemon = Daemon(context)
    for number in (signal.SIGTERM, signal.SIGINT):
        # In a thread: the handler interrupts the main thread anywhere, inside the lock of an Event too.
        signal.signal(number, lambda _number, _frame: threading.Thread(target=daemon.stop, daemon=True).start())
    if once:
        return _once(context, daemon, json=json)
    daemon.run()
    return 0


def _once(context: Context, daemon: Daemon, *, json: bool) -> int:
    try:
        report = daemon.run_once()
    except StopRequestedError:
        show.line("stopped before it was caught up; the next run goes on from here")
        return 1
    found = status(context)
    result = {
        "rows": report.rows,
        "copy_seconds": round(report.copy_seconds, 3),
        "catch_up_seconds": round(report.catch_up_seconds, 3),
        "applied_seq": found["applied_seq"],
        "quarantined": found["quarantined"],
    }
    if json:
        show.as_json(result)
    else:
        show.table([(name, str(value)) for name, value in result.items()])
        if found["quarantined"]:
            show.line("rows in quarantine are not in PostgreSQL: cdcsync quarantine list")
    return 1 if found["quarantined"] else 0


def _dry_run(context: Context, *, json: bool) -> int:
    with show.progress("trying") as tick:
        report = dry_run(context, tick)
    if json:
        result = {
            "rows": sum(report.rows.values()),
            "tables": report.rows,
            "failing_rows": report.failing_rows.total(),
            "failing_values": report.failing_values.total(),
            "failures": [
                {"table": bad.table, "key": bad.key, "column": bad.column, "reason": bad.reason, "value": bad.value}
                for bad in report.kept
            ],
        }
        show.as_json(result)
    else:
        _print_dry_run(report)
    return 1 if report.failing_rows else 0


def _print_dry_run(report: DryRunReport) -> None:
    show.table([(name, f"{rows} rows would arrive") for name, rows in report.rows.items()])
    for name, count in report.failing_values.items():
        for bad in [bad for bad in report.kept if bad.table == name][:FIRST]:
            show.line(f"would fail: {bad}")
        if count > FIRST:
            rows = report.failing_rows[name]
            show.line(
                f"would fail: {count - FIRST:,} more values of table {name}, {rows:,} rows in all: --json lists them"
            )
