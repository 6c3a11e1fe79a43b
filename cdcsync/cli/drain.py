"""`cdcsync drain`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from cdcsync.cli import show
from cdcsync.cli.options import EMBEDDED_ENDS, JsonOption, with_context
from cdcsync.machine.context import EMBEDDED, Context
from cdcsync.machine.drain import drain


@with_context
def command(
    context: Context,
    *,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds the drain may take.")] = 60,
    quiet_seconds: Annotated[float, typer.Option("--quiet-seconds", help="Seconds the source must stay quiet.")] = 2,
    handover: Annotated[bool, typer.Option("--handover", help="Then hand the target over.")] = False,
    accept_quarantine: Annotated[
        int, typer.Option("--accept-quarantine", help="Rows in quarantine the handover may leave behind.", min=0)
    ] = 0,
    json: JsonOption = False,
) -> int:
    """Apply everything in a write pause you have made, and see that nothing follows."""
    report = drain(
        context,
        timeout=timeout,
        quiet_seconds=quiet_seconds,
        handover=handover,
        accept_quarantine=accept_quarantine,
    )
    if json:
        show.as_json(dataclasses.asdict(report))
    else:
        if report.drained:
            show.line(f"drained to position {report.applied_seq} in {report.seconds:.1f} s")
        if report.quiet:
            show.line(f"the source stayed quiet for {quiet_seconds:g} s")
        for remark in report.handover.remarks if report.handover else []:
            show.line(f"remark: {remark}")
        if report.reason:
            show.line(report.reason)
        if report.holders:
            show.line(f"open in: {', '.join(report.holders)}")
        if report.handed_over:
            show.line("handed over: PostgreSQL accepts writes now; point the application at it")
            if context.settings.target == EMBEDDED:
                show.line(EMBEDDED_ENDS)
        elif report.quiet:
            show.line("the guard is still on: cdcsync drain --handover must follow before PostgreSQL is written to")
    done = report.drained and report.quiet and (report.handed_over or not handover)
    return 0 if done else 1
