"""`cdcsync verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from cdcsync.cli import show
from cdcsync.cli.options import JsonOption, gave_up_when_unreachable, with_context
from cdcsync.machine.comparison import VerifyReport
from cdcsync.machine.context import Context
from cdcsync.machine.mend import answer_drift, repair_different
from cdcsync.machine.session import Session
from cdcsync.machine.verify import verify

PRINTED = 20


@with_context
@gave_up_when_unreachable
def command(
    context: Context,
    *,
    table: Annotated[list[str] | None, typer.Option("--table", help="Only this table; may be repeated.")] = None,
    patience: Annotated[
        float, typer.Option("--timeout", help="Seconds to wait for a key to stand still on both sides.")
    ] = 30,
    repair: Annotated[bool, typer.Option("--repair", help="Make the target equal where it is not.")] = False,
    json: JsonOption = False,
) -> int:
    """Compare every row of both sides, exactly, while both go on."""
    with Session(context) as session, show.progress("comparing") as tick:
        if repair:
            answer_drift(session, _no_watch)
        report = verify(session, table, patience, tick)
        if repair and not report.equal:
            repair_different(session, report, _no_watch)
            report = verify(session, table, patience, tick)
    if json:
        show.as_json(_answer(report))
    else:
        _print(report)
    return 0 if report.equal else 1


def _no_watch() -> None:
    """A verb ends by signal."""


def _answer(report: VerifyReport) -> dict[str, object]:
    return {
        "equal": report.equal,
        "seq": report.seq,
        "rows_compared": report.rows_compared,
        "quarantined": report.quarantined,
        "differences": report.shown,
        "tables": [
            {
                "name": name,
                "rows_source": result.rows_source,
                "rows_target": result.rows_target,
                "differences": result.differences,
                "quarantined": result.quarantined,
                "skipped": result.skipped,
            }
            for name, result in report.tables.items()
        ],
    }


def _print(report: VerifyReport) -> None:
    lines = []
    for name, result in report.tables.items():
        if result.skipped is not None:
            lines.append((name, f"not compared: {result.skipped}; cdcsync drain copies it"))
        else:
            rows = f"{result.rows_source} rows in the source, {result.rows_target} in the target"
            aside = f", {result.quarantined} in quarantine" if result.quarantined else ""
            lines.append((name, f"{rows}, {result.differences} different{aside}"))
    show.table(lines)
    for difference in report.shown[:PRINTED]:
        where = f"{difference.table}, key {difference.key}"
        if difference.column is not None:
            where += f", column {difference.column}"
        show.line(f"{where}: source {difference.source!s}, target {difference.target!s}")
    if len(report.shown) > PRINTED:
        show.line(f"... and more: --json lists up to {len(report.shown)}")
    answer = "equal" if report.equal else "DIFFERENT"
    show.line(f"{answer}: {report.rows_compared} rows compared at position {report.seq}")
