"""`cdcsync quarantine`: the rows PostgreSQL cannot hold."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any

import typer

from cdcsync.cli import show
from cdcsync.cli.options import JsonOption, gave_up_when_unreachable, with_context
from cdcsync.core.keys import show_value
from cdcsync.edges.quarantine import Entry
from cdcsync.machine.context import Context
from cdcsync.machine.quarantined import entries, find
from cdcsync.machine.retry import retry

PRINTED = 100
VALUE_CHARACTERS = 2000

app = typer.Typer(no_args_is_help=True, help="Rows PostgreSQL cannot hold: list, show, retry.")

TableOption = Annotated[str | None, typer.Option("--table", help="Only this table.")]


@with_context
@gave_up_when_unreachable
def _list(context: Context, *, table: TableOption = None, json: JsonOption = False) -> int:
    """List the rows in quarantine, each with the column and the reason."""
    with entries(context, table) as found:
        if json:
            show.as_json_rows("rows", (_row(entry) for entry in found))
            return 0
        count = 0
        for count, entry in enumerate(found, 1):
            if count <= PRINTED:
                show.line(_line(entry))
        if count > PRINTED:
            show.line(f"... and {count - PRINTED} more: --table T, or --json for all")
        show.line(f"{count} in quarantine" if count else "nothing is in quarantine")
    return 0


@with_context
@gave_up_when_unreachable
def _show(
    context: Context,
    *,
    table: Annotated[str, typer.Argument(help="Name of the table.")],
    key: Annotated[str, typer.Argument(help="Key of the row, as `list` prints it.")],
    json: JsonOption = False,
) -> int:
    """Show one row: why it is in quarantine, and every column as SQLite holds it now."""
    found = find(context, table, key)
    rows = [
        {**_row(entry), "columns": {name: _column(value) for name, value in columns.items()}}
        for entry, columns in found
    ]
    if json:
        show.as_json({"rows": rows})
        return 0
    for entry, columns in found:
        show.line(_line(entry))
        if not columns:
            show.line("    the source has no such row by itself: several may share a key that is NULL, or it is gone")
        show.table([(f"    {name}", _shown(value)) for name, value in columns.items()])
    show.line("mend it: change the row in SQLite, or its type or policy under [tables.*.columns] and run")
    show.line("cdcsync quarantine retry")
    return 0


@with_context
def _retry(context: Context, *, table: TableOption = None, json: JsonOption = False) -> int:
    """Try the rows in quarantine again: after a change of the mapping or of the target."""
    report = retry(context, table)
    if json:
        show.as_json(report)
    else:
        show.line(f"{report.before} were in quarantine, {report.left} still are")
    return 1 if report.left else 0


app.command("list")(_list)
app.command("show")(_show)
app.command("retry")(_retry)


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "table": entry.table,
        "key": entry.row.shown_key,
        "column": entry.row.column,
        "reason": entry.row.reason,
        "value": entry.row.value,
        "rows": entry.row.rows,
        "seq": entry.seq,
        "since": entry.since.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    }


def _line(entry: Entry) -> str:
    row = entry.row
    several = f" ({row.rows} rows)" if row.rows > 1 else ""
    return f"table {entry.table}, key {row.shown_key}{several}, column {row.column}: {row.reason}: {row.value}"


def _column(value: tuple[str, Any]) -> dict[str, Any]:
    return {"storage_class": value[0], "value": show_value(value[1], VALUE_CHARACTERS)}


def _shown(value: tuple[str, Any]) -> str:
    return f"{value[0]}  {show_value(value[1], VALUE_CHARACTERS)}"
