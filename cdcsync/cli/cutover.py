"""`cdcsync cutover`."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import typer

from cdcsync.cli import show
from cdcsync.cli.options import EMBEDDED_ENDS, JsonOption, with_context
from cdcsync.edges.fence import fence_message
from cdcsync.machine.context import EMBEDDED, Context
from cdcsync.machine.cutover import cutover
from cdcsync.machine.cutover_report import CutoverReport
from cdcsync.machine.gates import CutoverOptions
from cdcsync.words.errors import UsageError


@with_context
def command(  # noqa: PLR0913  an option each
    context: Context,
    *,
    max_pause: Annotated[
        float, typer.Option("--max-pause", help="Longest write pause in seconds; spent, it is called off.", min=0.05)
    ] = 2,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Do everything but fence and hand over; tell how long it would take.")
    ] = False,
    full_verify: Annotated[
        bool, typer.Option("--full-verify", help="Compare every row again, inside the pause.")
    ] = False,
    accept_quarantine: Annotated[
        int, typer.Option("--accept-quarantine", help="Rows in quarantine that may stay behind.", min=0)
    ] = 0,
    backup: Annotated[
        Path | None, typer.Option("--backup", help="Where the backup of the SQLite file goes; else state_dir.")
    ] = None,
    no_backup: Annotated[bool, typer.Option("--no-backup", help="Make no backup.")] = False,
    max_lag_seconds: Annotated[
        float, typer.Option("--max-lag-seconds", help="Lag with which a cutover does not begin.", min=0)
    ] = 10,
    json: JsonOption = False,
) -> int:
    """Move the application to PostgreSQL: fence SQLite, drain, prove both sides equal, hand over, switch."""
    if backup is not None and no_backup:
        message = "--backup and --no-backup: name one"
        raise UsageError(message)
    default = context.settings.state_dir / f"backup-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.db"
    options = CutoverOptions(
        max_pause=max_pause,
        rehearse=rehearse,
        full_verify=full_verify,
        accept_quarantine=accept_quarantine,
        backup=None if no_backup or rehearse else (backup or default).absolute(),
        max_lag_seconds=max_lag_seconds,
    )
    try:
        report = cutover(context, options)
    except KeyboardInterrupt:
        typer.echo(_where(context), err=True)
        raise
    if json:
        show.as_json(dataclasses.asdict(report))
    else:
        _print(context, report, options)
    return 0 if report.done else 1


def _where(context: Context) -> str:
    """Say where the application is after an interrupt: the fence stays from the decision on."""
    with context.open_source() as source:
        if fence_message(source) is None:
            return "nothing was decided: the application goes on with SQLite"
    return "after the decision: run cdcsync cutover again, which goes on, or cdcsync rollback"


def _print(context: Context, report: CutoverReport, options: CutoverOptions) -> None:
    for refusal in report.refusals:
        show.line(f"refused ({refusal.code}): {refusal.message}")
    if report.refusals:
        return
    show.table([(step.name, f"{step.seconds:.3f} s") for step in report.steps])
    for remark in report.remarks:
        show.line(f"remark: {remark}")
    if report.reason:
        show.line(f"{'' if report.aborted_at is None else f'at {report.aborted_at}: '}{report.reason}")
    if report.rehearsed and report.done:
        show.line(f"the write pause would take about {report.pause_seconds:.2f} s, of {options.max_pause:g} allowed")
        show.line("in it, transactions that read before they write, and writers with a busy timeout of 0, get")
        show.line("SQLITE_BUSY as from any other writer; those that begin with a write wait")
        return
    _print_end(report, embedded=context.settings.target == EMBEDDED)


def _print_end(report: CutoverReport, *, embedded: bool) -> None:
    if report.done and report.pause_seconds is not None:
        show.line(
            f"handed over: write pause {report.pause_seconds:.2f} s, switch {report.switch_seconds or 0:.2f} s, "
            f"{report.verified_keys} keys verified in the pause"
        )
    if report.done:
        show.line("PostgreSQL accepts writes; the way back, while nobody has written: cdcsync rollback")
    if report.done and embedded:
        show.line(EMBEDDED_ENDS)
    if report.backup:
        show.line(f"backup: {report.backup}")
    if report.report:
        show.line(f"report: {report.report}")
