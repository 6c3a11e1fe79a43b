"""Printing results: JSON, lines and tables on stdout; progress on stderr, only for people."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Tick = Callable[[str, int], None]


def as_json(result: object) -> None:
    """Print a result as JSON; dataclasses become objects."""
    typer.echo(json.dumps(_plain(result), ensure_ascii=False, indent=2))


def as_json_rows(name: str, rows: Iterable[object]) -> None:
    """Print an object with one list, row by row: there may be more than memory should hold."""
    typer.echo(f"{{{json.dumps(name)}: [", nl=False)
    for place, row in enumerate(rows):
        typer.echo(("," if place else "") + "\n  " + json.dumps(_plain(row), ensure_ascii=False), nl=False)
    typer.echo("\n]}")


def line(text: str) -> None:
    """Print one line of a result."""
    typer.echo(text)


def table(rows: list[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        typer.echo(f"{name.ljust(width)}  {value}")


@contextmanager
def progress(title: str) -> Iterator[Tick]:
    """Show rows done for each table on a terminal; nothing where stderr is none."""
    if not sys.stderr.isatty():
        yield lambda _table, _rows: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        tasks: dict[str, Any] = {}

        def tick(name: str, rows: int) -> None:
            if name not in tasks:
                tasks[name] = shown.add_task(f"{title} {name}", total=None)
            shown.advance(tasks[name], rows)

        yield tick


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
