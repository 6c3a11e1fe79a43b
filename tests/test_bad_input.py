"""Bad input gets one clear line and the contract's exit code, and changes nothing on either side."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from psycopg import sql
from support.postgres import PASSWORD
from support.refusals import REFUSED, TYPICAL_VERBS, UNKNOWN, USAGE, assert_one_line, fingerprint, refuses

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.cli import Cli
    from support.postgres import Database

# Every verb that opens the source, in the way that would change most.
SOURCE_VERBS = [
    ("check",),
    ("plan",),
    ("install",),
    ("run",),
    ("run", "--once", "--dry-run"),
    ("status",),
    ("lag",),
    ("verify",),
    ("drain", "--handover"),
    ("uninstall",),
]
# Those that need PostgreSQL, with their exit code when it cannot be had on a source that is installed.
TARGET_VERBS = [
    (("check",), REFUSED),
    (("install",), REFUSED),
    (("run",), REFUSED),
    (("run", "--once", "--dry-run"), REFUSED),
    (("drain", "--handover"), REFUSED),
    (("status",), UNKNOWN),
    (("verify",), UNKNOWN),
    (("lag",), UNKNOWN),
]
# Root may read everything; without these two capabilities it is a user like any other.
MORTAL = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def _missing(path: Path) -> str:
    path.unlink()
    return "does not exist"


def _directory(path: Path) -> str:
    path.unlink()
    path.mkdir()
    return "not a file"


def _empty(path: Path) -> str:
    path.write_bytes(b"")
    return "empty"


def _text(path: Path) -> str:
    path.write_text("id,name\n1,Ada\n" * 500)
    return "not an SQLite database"


def _encrypted(path: Path) -> str:
    path.write_bytes(random.Random(1).randbytes(16 * 4096))
    return "encrypted"


def _header_only(path: Path) -> str:
    path.write_bytes(path.read_bytes()[:100] + random.Random(1).randbytes(8 * 4096))
    return "corrupt"


def _truncated(path: Path) -> str:
    path.write_bytes(path.read_bytes()[: 4096 + 2048])
    return "corrupt"


EVERY_VERB = (_missing, _truncated)
UNUSABLE = [_missing, _directory, _empty, _text, _encrypted, _header_only, _truncated]


@pytest.mark.parametrize("spoil", UNUSABLE, ids=lambda spoil: spoil.__name__.strip("_"))
def test_file_that_is_no_database_is_a_usage_error_for_every_verb(
    cli: Cli, source: Path, spoil: Callable[[Path], str]
) -> None:
    """A missing, foreign, encrypted or corrupt file is named in one line; exit 2, for `lag` 3."""
    reason = spoil(source)
    for verb in SOURCE_VERBS if spoil in EVERY_VERB else TYPICAL_VERBS:
        refuses(cli, verb, source, USAGE, "app.db", reason)


def test_database_with_a_corrupt_table_stops_the_copy_and_names_the_reason(
    cli: Cli, database: Database, source: Path
) -> None:
    """Damage that shows only in reading rows ends `run --once` with one line; nothing half-read counts as copied."""
    with closing(sqlite3.connect(source)) as db:
        page = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'orders'").fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    cli("install")
    with closing(sqlite3.connect(source)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with source.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(random.Random(1).randbytes(size))
    result = cli("run", "--once", expect=UNKNOWN)
    assert "malformed" in result.error_lines[-1]
    assert database.value("SELECT state FROM cdcsync.tables WHERE name = 'orders'") in {"pending", "copying"}


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may read everything")
def test_file_that_may_not_be_read_is_a_usage_error_for_every_verb(cli: Cli, source: Path) -> None:
    """A user without the right to read the source is told so in one line, and whom to run as."""
    before = fingerprint(source)
    source.chmod(0)
    if os.geteuid() == 0:
        os.chown(source, pwd.getpwnam("nobody").pw_uid, -1)
    for verb in TYPICAL_VERBS:
        result = cli(*verb, expect=UNKNOWN if verb[0] == "lag" else USAGE, prefix=MORTAL)
        assert_one_line(result, "may not be read", lag=verb[0] == "lag")
    source.chmod(0o600)
    assert fingerprint(source) == before


def test_source_that_may_not_be_written_is_refused_by_install_alone(cli: Cli, source: Path) -> None:
    """Reading verbs work on a read-only file; `install` says in one line that it cannot."""
    before = fingerprint(source)
    source.chmod(0o444)
    source.parent.chmod(0o555)
    try:
        if os.geteuid() == 0:
            os.chown(source, pwd.getpwnam("nobody").pw_uid, -1)
        result = cli("install", expect=None, prefix=MORTAL)
    finally:
        source.parent.chmod(0o755)
    assert result.code in {REFUSED, USAGE}
    assert_one_line(result, "app.db")
    assert cli.database is not None
    assert cli.database.tables() == {}
    assert fingerprint(source) == before


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("fault", ["unreachable", "password"])
def test_postgres_out_of_reach_or_refusing_the_password_is_one_line_for_every_verb(
    cli: Cli, database: Database, source: Path, fault: str
) -> None:
    """The line says what PostgreSQL said and never the password; verbs that ask end with 3, the others with 1."""
    cli("install")
    wrong = {"PGPORT": str(_closed_port())} if fault == "unreachable" else {"PGPASSWORD": "wrong-" + PASSWORD}
    reason = "refused" if fault == "unreachable" else "password authentication failed"
    before = fingerprint(source), database.tables()
    for verb, code in TARGET_VERBS:
        result = cli(*verb, expect=code, environment=wrong)
        assert_one_line(result, reason, lag=verb[0] == "lag")
    port, password = int(wrong.get("PGPORT", 0)), wrong.get("PGPASSWORD", PASSWORD)
    inline = cli("run", "--target", database.conninfo(port, password), expect=REFUSED)
    assert_one_line(inline, reason)
    assert (fingerprint(source), database.tables()) == before


def test_postgres_out_of_reach_leaves_the_source_as_it_was_at_install(cli: Cli, source: Path) -> None:
    """Without PostgreSQL nothing is installed in the source either."""
    before = fingerprint(source)
    for verb in (("install",), ("run", "--install")):
        assert_one_line(cli(*verb, expect=REFUSED, environment={"PGPORT": str(_closed_port())}), "refused")
    assert fingerprint(source) == before


IN_THE_WAY = {
    "other columns": ("CREATE TABLE prices (name text PRIMARY KEY)", "prices"),
    "a row in it": (
        """
        CREATE TABLE prices (product text NOT NULL, day bigint NOT NULL, price bigint, UNIQUE (product, day));
        INSERT INTO prices VALUES ('x', 1, 1)
        """,
        "prices",
    ),
    "a view": ("CREATE VIEW prices AS SELECT 1 AS product", "prices"),
}


@pytest.mark.parametrize("obstacle", IN_THE_WAY)
def test_table_in_the_way_is_refused_by_install_with_its_name(
    cli: Cli, database: Database, source: Path, obstacle: str
) -> None:
    """A table of the name that cannot take the rows is left alone, and so is the source; exit 1."""
    statement, named = IN_THE_WAY[obstacle]
    with database.connect() as connection:
        connection.execute(statement.encode())
    for verb in (("install",), ("run", "--install")):
        refuses(cli, verb, source, REFUSED, named)
    assert cli("check", expect=REFUSED).err == ""


def test_role_without_rights_is_refused_with_the_grant_it_needs(cli: Cli, database: Database, source: Path) -> None:
    """A role that may not create a schema is told the GRANT; neither side is changed."""
    on_database = sql.SQL("ON DATABASE {}").format(sql.Identifier(database.name)).as_string()
    with database.server.admin(database.name) as admin:
        admin.execute(f"REVOKE CREATE {on_database} FROM mover".encode())
    refuses(cli, ("install",), source, REFUSED, "GRANT CREATE ON DATABASE")
    with database.server.admin(database.name) as admin:
        admin.execute("REVOKE CREATE ON SCHEMA public FROM mover")
        admin.execute(f"GRANT CREATE {on_database} TO mover".encode())
    refuses(cli, ("install",), source, REFUSED, "GRANT")


def test_verbs_on_a_source_that_is_not_installed_say_so(cli: Cli, source: Path) -> None:
    """`run`, `drain`, `status`, `verify` and `lag` before `install` name the command that is missing."""
    for verb, code in ((("run",), 1), (("run", "--once"), 1), (("drain",), 1), (("verify",), 1), (("lag",), 3)):
        refuses(cli, verb, source, code, "not installed")
    result = cli("status", expect=REFUSED)
    assert "not installed" in result.out
    assert cli("status", "--json", expect=REFUSED).json["state"] is None
