"""`cdcsync rollback`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from cdcsync.cli import show
from cdcsync.cli.options import JsonOption, with_context
from cdcsync.machine.context import Context
from cdcsync.machine.rollback import rollback


@with_context
def command(
    context: Context,
    *,
    discard: Annotated[
        bool,
        typer.Option("--discard-target-writes", help="Go back also where that loses what was written to PostgreSQL."),
    ] = False,
    json: JsonOption = False,
) -> int:
    """Give the application back to SQLite, as long as nobody has written to PostgreSQL since the handover."""
    report = rollback(context, discard=discard)
    if json:
        show.as_json(dataclasses.asdict(report))
        return 0 if report.done else 1
    for table, statements in report.target_writes.items():
        show.line(f"{table}: {statements} write statements since the handover")
    if report.reason:
        show.line(report.reason)
    for remark in report.remarks:
        show.line(f"remark: {remark}")
    if report.done:
        show.line("SQLite accepts writes again, PostgreSQL is guarded: start cdcsync run to follow again")
    return 0 if report.done else 1
