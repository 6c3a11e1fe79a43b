"""`cdcsync psql`."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Annotated

import typer

from cdcsync.cli.options import with_context
from cdcsync.edges.target import conninfo_parts
from cdcsync.machine.context import Context
from cdcsync.words.errors import UsageError

# libpq's environment name of each part of a connection string that has one.
_ENVIRONMENT = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "service": "PGSERVICE",
    "passfile": "PGPASSFILE",
    "options": "PGOPTIONS",
}


@with_context
def command(
    context: Context,
    *,
    sql: Annotated[list[str] | None, typer.Option("-c", "--command", help="Run this SQL and leave.")] = None,
) -> int:
    """Open the target with psql."""
    server = context.server()
    program = shutil.which("psql") if server is None else str(server.bin_dir / "psql")
    if program is None:
        message = 'no psql on the PATH: install the PostgreSQL client, or use target = "embedded"'
        raise UsageError(message)
    # By environment, not by argument: arguments are visible to every user of the machine.
    parts = conninfo_parts(context.conninfo())
    environment = {
        **os.environ,
        **{_ENVIRONMENT[name]: str(value) for name, value in parts.items() if name in _ENVIRONMENT},
    }
    arguments = [program, "--no-psqlrc"] if sql else [program]
    for text in sql or []:
        arguments += ["-c", text]
    # The user's own psql, with the user's own SQL.
    return subprocess.run(arguments, env=environment, check=False).returncode  # noqa: S603
