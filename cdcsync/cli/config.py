"""`cdcsync config show` and `cdcsync config check`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer
from psycopg.conninfo import make_conninfo

from cdcsync.cli import show
from cdcsync.cli.options import JsonOption, with_settings
from cdcsync.edges.source import Source
from cdcsync.edges.target import conninfo_parts
from cdcsync.machine.context import EMBEDDED, Context, proposed_plans
from cdcsync.machine.type_names import refuse_types
from cdcsync.words.errors import UsageError
from cdcsync.words.settings import Loaded, Settings, public_name

app = typer.Typer(no_args_is_help=True, help="Show or check the settings in force.")
MASK = "********"


def _show(loaded: Loaded, *, json: JsonOption = False) -> int:
    """Print every setting with its value and where it came from; passwords are masked."""
    values = values_of(loaded.settings)
    if json:
        show.as_json({name: {"value": value, "from": loaded.origins[name]} for name, value in values.items()})
    else:
        show.table([(name, f"{_readable(value)}   ({loaded.origins[name]})") for name, value in values.items()])
    return 0


def _check(loaded: Loaded) -> int:
    """Check names and values of the settings, and the mapping against the source where there is one.

    PostgreSQL is asked only where the mapping names types that are none of its usual ones.
    """
    if loaded.settings.source is not None:
        with Source(loaded.settings.source) as source:
            _, plans = proposed_plans(source, loaded.settings)
        with Context(loaded.settings) as context:
            refuse_types(context, plans)
    show.line("the settings are valid")
    return 0


def values_of(settings: Settings) -> dict[str, object]:
    """Return all settings by public name, as plain values, with the password of the target masked."""
    values = {public_name(name): value for name, value in settings.model_dump(mode="json", exclude_unset=False).items()}
    values["tables"] = {
        name: table.model_dump(mode="json", exclude_unset=True) for name, table in settings.tables.items()
    }
    values["target"] = masked(settings.target)
    return values


def masked(conninfo: str) -> str:
    """Return a connection string with its password masked."""
    return _with_password(conninfo, MASK)


def without_password(conninfo: str) -> str:
    """Return a connection string that leaves the password to PGPASSWORD or a pgpass file."""
    return _with_password(conninfo, None)


def _with_password(conninfo: str, password: str | None) -> str:
    if conninfo == EMBEDDED:
        return conninfo
    try:
        parts: dict[str, Any] = conninfo_parts(conninfo)
    except UsageError:
        # Nothing libpq understands may still hold a password.
        return password or ""
    if any("@" in str(parts.get(name, "")) for name in ("host", "hostaddr", "port", "user", "dbname")):
        # An unescaped @ or / left a piece of the password in another part.
        return password or ""
    return make_conninfo(**{**parts, "password": password}) if "password" in parts else conninfo


def _readable(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {item}" for key, item in value.items() if item is not None) or "none"
    return '""' if value == "" else str(value)


app.command("show")(with_settings(_show))
app.command("check")(with_settings(_check))
