"""`cdcsync verify`."""

from __future__ import annotations

import json as jsonlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import psycopg
import typer

from cdcsync.cli import show
from cdcsync.cli.options import JsonOption, gave_up_when_unreachable, with_context
from cdcsync.edges.target import one_line
from cdcsync.machine.context import Context
from cdcsync.machine.mend import answer_drift, repair_different
from cdcsync.machine.session import Session
from cdcsync.machine.verify import verify, verify_chosen, with_relatives
from cdcsync.machine.verify_report import VerifyReport
from cdcsync.words.errors import CdcsyncError, UsageError

PRINTED = 20

Compare = Callable[[], VerifyReport]


@with_context
@gave_up_when_unreachable
def command(  # noqa: PLR0913  an option each
    context: Context,
    *,
    table: Annotated[list[str] | None, typer.Option("--table", help="Only this table; may be repeated.")] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", help="Only the rows of the one --table that meet this condition of SQLite's."),
    ] = None,
    related: Annotated[
        bool, typer.Option("--related", help="Also what refers to the one --table, or to its rows, by foreign keys.")
    ] = False,
    every: Annotated[
        float | None,
        typer.Option("--every", help="Compare again after so many seconds, until interrupted.", min=0.1),
    ] = None,
    patience: Annotated[
        float, typer.Option("--timeout", help="Seconds to wait for a key to stand still on both sides.")
    ] = 30,
    repair: Annotated[bool, typer.Option("--repair", help="Make the target equal where it is not.")] = False,
    json: JsonOption = False,
) -> int:
    """Compare every row of both sides, or chosen ones, exactly, while both go on."""
    tables = table or []
    if (where is not None or related) and len(tables) != 1:
        message = "--where and --related go with exactly one --table"
        raise UsageError(message)
    if repair and (where is not None or every is not None):
        message = "--repair mends whole tables, once: leave --where and --every out"
        raise UsageError(message)
    compare = partial(_compare, context, tables, where, patience, related=related)
    if every is not None:
        return _again_and_again(compare, every, json=json)
    report = _repaired(context, tables, patience, related=related) if repair else compare()
    if json:
        show.as_json(_answer(report))
    else:
        _print(report)
    return 0 if report.equal else 1


def _compare(context: Context, tables: list[str], where: str | None, patience: float, *, related: bool) -> VerifyReport:
    with Session(context) as session, show.progress("comparing") as tick:
        names = with_relatives(session, tables[0]) if related else tables
        if where is not None:
            return verify_chosen(session, names, where, patience, tick)
        return verify(session, names, patience, tick)


def _repaired(context: Context, tables: list[str], patience: float, *, related: bool) -> VerifyReport:
    with Session(context) as session, show.progress("comparing") as tick:
        answer_drift(session, _no_watch)
        names = with_relatives(session, tables[0]) if related else tables
        report = verify(session, names, patience, tick)
        if report.equal:
            return report
        repair_different(session, report, _no_watch)
        return verify(session, names, patience, tick)


def _again_and_again(compare: Compare, seconds: float, *, json: bool) -> int:
    """Print a line for each comparison until interrupted; whoever interrupts learns how the last one ended."""
    equal = True
    try:
        while True:
            began, at = time.monotonic(), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            try:
                report = compare()
            except UsageError:
                raise
            except (CdcsyncError, psycopg.Error) as error:
                # A server that restarts, or a schema that changes: the next time may tell.
                show.line(jsonlib.dumps({"at": at, "error": one_line(error)}) if json else f"{at} {one_line(error)}")
            else:
                equal = report.equal
                show.line(_told(at, report, json=json))
            time.sleep(max(0.0, began + seconds - time.monotonic()))
    except KeyboardInterrupt:
        if equal:
            raise
        return 1


def _told(at: str, report: VerifyReport, *, json: bool) -> str:
    differences = sum(result.differences for result in report.tables.values())
    if json:
        found = {"at": at, "equal": report.equal, "rows_compared": report.rows_compared, "differences": differences}
        return jsonlib.dumps(found | {"seq": report.seq})
    first = report.shown[0] if report.shown else None
    where = "" if first is None else f", such as {first.table}, key {first.key}"
    return f"{at} {report.rows_compared} rows compared, {differences} different{where}"


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
        absent = "no row" if difference.column is None else "NULL"
        source, target = (absent if one is None else one for one in (difference.source, difference.target))
        show.line(f"{where}: source {source}, target {target}")
    if len(report.shown) > PRINTED:
        show.line(f"... and more: --json lists up to {len(report.shown)}")
    answer = "equal" if report.equal else "DIFFERENT"
    show.line(f"{answer}: {report.rows_compared} rows compared at position {report.seq}")
