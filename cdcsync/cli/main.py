"""The console command: one file per verb, errors as one line, and the contract's exit codes."""

from __future__ import annotations

import signal
import sqlite3
import sys
from types import FrameType
from typing import NoReturn

import psycopg
import typer

from cdcsync import __version__
from cdcsync.cli import (
    check,
    config,
    cutover,
    demo,
    drain,
    install,
    lag,
    plan,
    psql,
    quarantine,
    rollback,
    run,
    status,
    uninstall,
    unit,
    verify,
)
from cdcsync.words.errors import CdcsyncError

INTERRUPTED = 130
TERMINATED = 143

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Move a live application from SQLite to PostgreSQL.",
)
for verb in (
    *(check, plan, install, run, status, lag, verify, drain, cutover, rollback),
    *(uninstall, psql, unit, demo),
):
    app.command(verb.__name__.rpartition(".")[2])(verb.command)
app.add_typer(config.app, name="config")
app.add_typer(quarantine.app, name="quarantine")


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:  # noqa: FBT001, FBT003  typer's form
    if version:
        typer.echo(f"cdcsync {__version__}")
        raise typer.Exit


def main() -> NoReturn:
    """Run the command line; the process ends with the contract's exit code."""
    # Unwind on SIGTERM: an embedded server must not outlive the verb that started it.
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(_run())


def _run() -> int:
    try:
        code = int(app(uninstall.spell_out(sys.argv[1:]), standalone_mode=False) or 0)
        # typer makes a code of an interrupt, and says nothing.
        return code if code != INTERRUPTED else _fail("interrupted", code)
    except (CdcsyncError, typer.TyperException) as error:
        message = str(error) if isinstance(error, CdcsyncError) else _usage(error)
        if sys.argv[1:2] == ["lag"]:
            # Nagios takes 2 for critical: what cannot be answered is unknown.
            return lag.unknown(message, json="--json" in sys.argv)
        return _fail(message, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", INTERRUPTED)
    except (psycopg.Error, sqlite3.Error, OSError) as error:
        return _fail(_outside(error), 1)


def _outside(error: psycopg.Error | sqlite3.Error | OSError) -> str:
    """Say what a thing outside of us said, and which it was."""
    if isinstance(error, psycopg.Error):
        return f"PostgreSQL: {' '.join(str(error).split())}"
    if isinstance(error, sqlite3.Error):
        return f"SQLite: {error}"
    where = "the output" if error.filename is None else str(error.filename)
    return f"{where} could not be read or written: {error.strerror or error}"


def _usage(error: typer.TyperException) -> str:
    before_the_verb = sys.argv[1:2] and sys.argv[1].startswith("-")
    return f"{error.format_message()} (options follow the verb)" if before_the_verb else error.format_message()


def _fail(message: str, code: int) -> int:
    # Without a verb the help was printed, and there is nothing to add.
    if message:
        typer.echo(f"cdcsync: {message}", err=True)
    return code


def _terminated(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)
