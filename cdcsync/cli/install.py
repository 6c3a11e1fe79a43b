"""`cdcsync install`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdcsync.cli import show
from cdcsync.cli.options import with_context
from cdcsync.edges.backup import back_up
from cdcsync.machine.context import Context
from cdcsync.machine.install import InstallReport, install, planned_statements


@with_context
def command(
    context: Context,
    *,
    backup: Annotated[Path | None, typer.Option("--backup", help="Copy the source to this file first.")] = None,
    only_print: Annotated[bool, typer.Option("--print", help="Show the statements, run none.")] = False,
) -> int:
    """Install changelog and triggers in the source; control schema, tables and guard in the target."""
    if only_print:
        for side, statements in planned_statements(context).items():
            show.line(f"-- {side}")
            for statement in statements:
                show.line(f"{statement.rstrip().rstrip(';')};\n")
        return 0
    if backup is not None:
        back_up(context.settings.source_path, backup)
        show.line(f"backup written to {backup}")
    report(install(context))
    return 0


def report(done: InstallReport) -> None:
    """Print what install did."""
    if done.already:
        show.line(f"already installed: {done.tables} tables are captured")
        return
    show.line(f"installed: {done.tables} tables are captured; the write lock was held for {done.locked}")
    if done.again:
        show.line("PostgreSQL knows this source from before: cdcsync run makes its tables equal to this file")
    for left in done.not_carried:
        show.line(f"not carried: {left.table}: {left.what}: {left.reason}. {left.suggestion}".rstrip())
