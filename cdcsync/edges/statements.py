"""Load the named statements of `sql/` and the templates of `triggers/`.

In a file, `-- name: x` begins a statement; the comment lines after it say what it is for and are kept, so that
they show in `pg_stat_activity` and in traces. SQLite statements are `string.Template`s whose parameters are
names already quoted; PostgreSQL statements are `psycopg.sql.SQL` and are filled by its `format`.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from string import Template

from psycopg import sql

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def _root() -> Path:
    """In a wheel the folders lie inside the package, in a checkout beside it."""
    package = Path(__file__).parent.parent
    return package if (package / "sql").is_dir() else package.parent


def shipped(*parts: str) -> Path:
    """Return the path of a file or folder that ships with cdcsync, such as `examples/interview`."""
    return _root().joinpath(*parts)


@cache
def _named(file: str) -> dict[str, str]:
    text = shipped("sql", file).read_text(encoding="utf-8")
    pieces = _NAME.split(text)
    return {name: body.strip() for name, body in zip(pieces[1::2], pieces[2::2], strict=True)}


@cache
def sqlite_statement(file: str, name: str) -> Template:
    """Return a statement for SQLite; KeyError if the file has none of that name."""
    return Template(_named(file)[name].rstrip(";"))


@cache
def postgres_statement(file: str, name: str) -> sql.SQL:
    """Return a statement for PostgreSQL; KeyError if the file has none of that name."""
    return sql.SQL(_named(file)[name])


@cache
def trigger_template(name: str) -> Template:
    """Return a template of `triggers/`, stripped of the comments that explain it to readers of the folder."""
    lines = shipped("triggers", f"{name}.sql").read_text(encoding="utf-8").splitlines()
    return Template("\n".join(line for line in lines if not line.startswith("--")).strip().rstrip(";"))
