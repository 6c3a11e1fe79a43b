"""`cdcsync status`."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cdcsync.cli import show
from cdcsync.cli.options import JsonOption, gave_up_when_unreachable, with_context
from cdcsync.machine.context import Context
from cdcsync.machine.status import status

WATCH_SECONDS = 1.0
# States of a table in which its rows are on their way.
COPYING = {"pending", "copying", "copied"}


@with_context
@gave_up_when_unreachable
def command(
    context: Context,
    *,
    json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every second.")] = False,
) -> int:
    """Show where this source stands and how far the target is behind it."""
    if watch:
        with Live(picture(status(context)), auto_refresh=False) as live:
            while True:
                time.sleep(WATCH_SECONDS)
                live.update(picture(status(context)), refresh=True)
    found = status(context)
    if json:
        show.as_json(found)
    else:
        _print(found)
    return 0 if found["state"] is not None else 1


def _print(found: dict[str, Any]) -> None:
    if found["state"] is None:
        show.line(found["message"])
        return
    show.table(facts(found))
    show.line("")
    show.table([(table["name"], table_line(table)) for table in found["tables"]])
    for error in found["last_errors"]:
        show.line(f"error: {error}")


def facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the lines of a status above its tables, as name and value."""
    daemon = found["daemon"]
    alive = f"running, pid {daemon['pid']}" if daemon["running"] else "not running"
    drain = found["estimated_drain_seconds"]
    lines = [
        ("source", found["source"]),
        ("state", found["state"]),
        ("daemon", alive),
        ("lag", f"{found['pending_changes']} changes, {found['lag_seconds']:.1f} s"),
        ("drain would take", "unknown" if drain is None else f"about {drain:.1f} s"),
        ("position", f"{found['applied_seq']} of {found['head_seq']}"),
        ("changelog", _size(found["changelog_bytes"])),
        ("write-ahead log", _size(found["wal_bytes"])),
    ]
    if found["quarantined"]:
        lines.append(("quarantine", f"{found['quarantined']} rows: cdcsync quarantine list"))
    lines += _copy(found) + ([] if found["watch"] is None else _watch(found["watch"]))
    lines += [("source changed", change) for change in found["source_changes"]]
    lines += [("detached", f"{one['name']} of table {one['table']}") for one in found["detached"] if not one["error"]]
    lines += [("not captured", f"table {name}, created since install") for name in found["new_tables"]]
    lines += [("warning", warning) for warning in found["warnings"]]
    lines += [("drift", drift["message"]) for drift in found["drift"]]
    return lines + [("gap", _gap(gap)) for gap in found["gaps"]]


def _copy(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Return which tables are still to be copied, in this order."""
    if not found["copy_order"]:
        return []
    left = found["estimated_copy_seconds"]
    return [("to copy", f"{', then '.join(found['copy_order'])}{'' if left is None else f'; about {left:.0f} s'}")]


def _watch(watch: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what to look at while the application is new on PostgreSQL."""
    counts = watch["database"]
    written = ", ".join(f"{table} {count}" for table, count in watch["write_statements"].items() if count)
    counted = (
        f"{counts['rollbacks']} rollbacks of {counts['commits'] + counts['rollbacks']} transactions, "
        f"{counts['deadlocks']} deadlocks, {counts['conflicts']} conflicts, "
        f"{counts['sessions_fatal'] + counts['sessions_killed']} sessions broken off"
    )
    slowest = [(one, f"{one['mean_ms']:.1f} ms, {one['calls']} calls") for one in watch["slowest_statements"] or []]
    return [
        ("connections", f"{watch['connections']['used']} of {watch['connections']['max']}"),
        ("written since", f"statements: {written}" if written else "nothing: cdcsync rollback loses nothing"),
        ("counted", counted),
        *(("slow", f"{times}: {one['statement']}") for one, times in slowest),
    ]


def _gap(gap: dict[str, Any]) -> str:
    """Return when nobody saw what was written to a table, and what became of it."""
    until = "now" if gap["until"] is None else gap["until"]
    mended = "not mended yet" if gap["closed_at"] is None else f"mended, {gap['rows_mended'] or 0} rows differed"
    return f"table {gap['table']} ({gap['kind']}) was not captured for certain from {gap['since']} to {until}; {mended}"


def table_line(table: dict[str, Any]) -> str:
    """Return how far the copy of one table is."""
    total = table["rows_total"]
    left = table["estimated_copy_seconds"]
    if table["state"] not in COPYING:
        # What the copy sent is old by then, and was fewer or more than there are.
        return f"{table['state']}" + ("" if total is None else f", {total} rows at the last count")
    copied = f"{table['rows_copied']} rows copied" + ("" if total is None else f" of {total}")
    return f"{table['state']}, {copied}" + ("" if left is None else f", about {left:.0f} s left")


def picture(found: dict[str, Any]) -> RenderableType:
    """Return a status as rich draws it."""
    if found["state"] is None:
        return Text(found["message"])
    above = Table.grid(padding=(0, 2))
    for name, value in facts(found):
        above.add_row(name, value)
    tables = Table.grid(padding=(0, 2))
    for table in found["tables"]:
        tables.add_row(table["name"], table_line(table))
    return Group(above, Text(""), tables)


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"
