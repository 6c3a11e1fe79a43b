"""`cdcsync check`."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from cdcsync.cli import show
from cdcsync.cli.options import JsonOption, with_context
from cdcsync.machine.check import check
from cdcsync.machine.context import Context
from cdcsync.machine.measure import MANY, SETTINGS, Cost, Measurement, measure
from cdcsync.words.nouns import Finding


@with_context
def command(
    context: Context,
    *,
    measured: Annotated[
        bool, typer.Option("--measure", help="Also measure what the triggers will cost, on a copy of the tables.")
    ] = False,
    measure_seconds: Annotated[float, typer.Option(help="Seconds --measure may take.", min=1)] = 20,
    json: JsonOption = False,
) -> int:
    """Look for everything that would stop the move: source, target, mapping, privileges, values."""
    with show.progress("checking") as tick:
        findings = check(context, tick)
    costs = None
    if measured:
        with show.progress("measuring") as tick:
            costs = measure(context, measure_seconds, tick)
    ready = not any(finding.severity == "blocking" for finding in findings)
    if json:
        show.as_json({"ready": ready, "findings": findings, **_answer(costs)})
    else:
        _print_findings(findings)
        show.line(_counted(findings))
        show.line("ready to install" if ready else "not ready: see the blocking findings")
        if costs is not None:
            _print_costs(costs)
    return 0 if ready else 1


def _answer(costs: Measurement | None) -> dict[str, object]:
    if costs is None:
        return {}
    not_measured = [{"table": table, "reason": reason} for table, reason in costs.not_measured.items()]
    return {"measured": costs.measured, "not_measured": not_measured, "measure_seconds": round(costs.seconds, 1)}


def _print_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        show.line(f"{finding.severity}: {finding.message}")
        if finding.sample_keys:
            show.line(f"    such as {'; '.join(finding.sample_keys)}")
        if finding.fix:
            # The lines for cdcsync.toml are two: a table and what belongs into it.
            show.line(f"    mend it: {finding.fix}".replace("\n", "\n             "))


def _counted(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    warnings, notes = counts["warning"], counts["info"]
    return f"{counts['blocking']} blocking, {warnings} warning{'s' * (warnings != 1)}, {notes} note{'s' * (notes != 1)}"


def _print_costs(found: Measurement) -> None:
    show.line("")
    if found.measured:
        titles = [f"{level}, {rows} row{'s' * (rows > 1)}" for level, rows in SETTINGS]
        rows = [["", *titles, "file"]]
        by_write: dict[tuple[str, str], dict[tuple[str, int], Cost]] = {}
        for cost in found.measured:
            settings = by_write.setdefault((cost.table, cost.operation), {})
            settings[cost.synchronous, cost.rows_per_transaction] = cost
        for (table, operation), settings in by_write.items():
            cells = [_cell(settings.get(setting)) for setting in SETTINGS]
            growth = next(iter(settings.values())).extra_bytes_per_write
            rows.append([f"{table}, {operation}", *cells, f"+{growth:.0f} bytes"])
        show.table(_aligned(rows))
    for table, reason in found.not_measured.items():
        show.line(f"{table}: not measured: {reason}")
    if found.measured:
        show.line(_meaning(found.measured))
    where = "" if found.same_file_system else ", on another file system than the source's"
    show.line(f"measured in {found.seconds:.1f} s on copies without the application's own triggers{where}")


def _cell(cost: Cost | None) -> str:
    if cost is None:
        return "-"
    return f"{cost.ratio:.2f}x {(cost.ratio - 1) * cost.microseconds_without:+.1f} us"


def _aligned(rows: list[list[str]]) -> list[tuple[str, str]]:
    """Return names and lines of cells, columns below each other."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        (row[0], "  ".join(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))) for row in rows
    ]


def _meaning(measured: Sequence[Cost]) -> str:
    places = ("where it commits alone and waits for the disk", "where it does not wait", f"in transactions of {MANY}")
    said = []
    for setting, place in zip(SETTINGS, places, strict=True):
        ratios = [cost.ratio for cost in measured if (cost.synchronous, cost.rows_per_transaction) == setting]
        if ratios:
            said.append(f"{statistics.median(ratios):.2f} times {place}")
    growth = [round(cost.extra_bytes_per_write) for cost in measured]
    return (
        f"with the triggers the time of a row's write becomes {', '.join(said)} (medians), and each adds {min(growth)} "
        f"to {max(growth)} bytes to the file"
    )
