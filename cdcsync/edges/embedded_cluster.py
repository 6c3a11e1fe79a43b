"""Data directory and processes of the embedded PostgreSQL: created, started, found, stopped."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cdcsync.words.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Iterator

ADMIN = "postgres"
PORT = 5432
# Crash recovery after a power failure may take long, and so may the last checkpoint before the end.
_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
_QUIT_SECONDS = 10.0
_LOOK_SECONDS = 0.01
# sun_path holds 108 bytes on Linux and 104 on macOS, the final NUL included.
_SOCKET_PATH_BYTES = 103
_INITDB = (
    *("-U", ADMIN, "-A", "trust", "-E", "UTF8", "--no-instructions"),
    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
)
_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    "shared_buffers": "128MB",
    # Nothing replicates from it.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Launcher(NamedTuple):
    """What to put before a command to run it as the server's user (nothing if that is us), and its ids."""

    command: tuple[str, ...]
    uid: int
    gid: int


class _Running(NamedTuple):
    """What `postmaster.pid` says."""

    pid: int
    socket_dir: Path
    ready: bool


class Cluster:
    """Data directory, locks and server processes under one directory of ours, `home`."""

    def __init__(self, home: Path, bin_dir: Path, launcher: Launcher) -> None:
        """Prepare; nothing is done yet."""
        self.home, self.bin_dir = home, bin_dir
        self.data, self.log = home / "data", home / "log"
        self.owner = home.stat()
        self.launcher = launcher

    def initialise(self, gate: int) -> None:
        """Create the data directory if there is none; TargetError with the end of initdb's output."""
        if (self.data / "PG_VERSION").exists():
            return
        for left in self.home.glob("new-*"):
            shutil.rmtree(left, ignore_errors=True)
        new = Path(tempfile.mkdtemp(prefix="new-", dir=self.home))
        if os.geteuid() == 0:
            os.chown(new, self.launcher.uid, self.launcher.gid)
        done = subprocess.run(  # noqa: S603  the wheel's own binary, no shell
            [*self.launcher.command, str(self.bin_dir / "initdb"), "-D", str(new), *_INITDB],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(gate,),
            env=_environment(),
            check=False,
        )
        if done.returncode:
            shutil.rmtree(new, ignore_errors=True)
            message = f"embedded PostgreSQL: initdb in {self.home} failed: {_tail(done.stdout)}"
            raise TargetError(message)
        # A data directory is whole or not there.
        new.rename(self.data)

    def run(self) -> Path:
        """Return the socket directory of the server, started if none lives. Only behind the gate."""
        started = False
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with self._server_lock() as (lock, free):
                if free and started:
                    break
                if free:
                    self._spawn(lock)
                    started = True
                elif (running := self._running()) and running.ready:
                    return running.socket_dir
            time.sleep(_LOOK_SECONDS)
        message = f"embedded PostgreSQL in {self.home} did not start: {self._log_tail()}"
        raise TargetError(message)

    def _spawn(self, lock: int) -> None:
        self._sweep()
        settings = _SETTINGS | {"unix_socket_directories": str(self._socket_dir())}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        argv = [*self.launcher.command, str(self.bin_dir / "postgres"), "-D", str(self.data), *options]
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".1"))
        log = self.open("log")
        try:
            # The shell ends at once: the server is nobody's child, and may outlive this process. pg_ctl would
            # do the same, but trips over a $ in the path.
            subprocess.run(  # noqa: S603
                ["/bin/sh", "-c", '"$@" &', "sh", *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                start_new_session=True,
                env=_environment(),
                cwd="/",
                check=True,
            )
        finally:
            os.close(log)

    def stop(self) -> None:
        """Stop the server, cleanly if it does so in a minute; nothing if none lives. Only behind the gate."""
        for number, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, _QUIT_SECONDS)):
            deadline = time.monotonic() + seconds
            told = 0
            while time.monotonic() < deadline:
                with self._server_lock() as (_, free):
                    if free:
                        self._sweep()
                        return
                running = self._running()
                if running and running.pid != told:
                    told = running.pid
                    os.kill(told, number)
                time.sleep(_LOOK_SECONDS)
        message = f"embedded PostgreSQL in {self.home} does not stop: {self._log_tail()}"
        raise TargetError(message)

    @contextmanager
    def _server_lock(self) -> Iterator[tuple[int, bool]]:
        """Give the descriptor, and whether no process of a server has it: then it is locked by us."""
        lock = self.open("server.lock")
        try:
            yield lock, locked(lock)
        finally:
            os.close(lock)

    def _running(self) -> _Running | None:
        try:
            lines = (self.data / "postmaster.pid").read_text(errors="replace").splitlines()
            return _Running(int(lines[0]), Path(lines[4]), ready=lines[7].strip() == "ready")
        except (FileNotFoundError, IndexError, ValueError):
            # Absent, or being written.
            return None

    def _socket_dir(self) -> Path:
        path = self.home / f".s.PGSQL.{PORT}"
        if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES and re.fullmatch(r"[/\w.+-]+", str(path), re.ASCII):
            return self.home
        # Not $TMPDIR, which may be long, nor $XDG_RUNTIME_DIR, which vanishes at logout.
        short = Path(tempfile.mkdtemp(prefix="cdcsync-", dir="/tmp"))
        if os.geteuid() == 0:
            os.chown(short, self.owner.st_uid, self.owner.st_gid)
        (self.home / "sockets").symlink_to(short)
        return short

    def _sweep(self) -> None:
        """Remove what a dead server left: its pid may be another process's by now, or a zombie's."""
        if (left := self._running()) and _is_postgres(left.pid):
            # Started by hand, without our lock: PostgreSQL itself refuses a second one.
            return
        link = self.home / "sockets"
        for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
            ((link if link.is_dir() else self.home) / name).unlink(missing_ok=True)
        if link.is_dir():
            link.readlink().rmdir()
        link.unlink(missing_ok=True)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _log_tail(self) -> str:
        return _tail(self.log.read_bytes()) if self.log.exists() else "no log"

    def open(self, name: str) -> int:
        """Open or create a file of ours for locking or logging; the descriptor is the caller's to close."""
        descriptor = os.open(self.home / name, os.O_RDWR | os.O_CREAT, 0o600)
        if os.geteuid() == 0:
            os.fchown(descriptor, self.owner.st_uid, self.owner.st_gid)
        return descriptor

    @contextmanager
    def gate(self) -> Iterator[int]:
        """Keep everybody else from starting or stopping the server; TargetError if its turn does not come."""
        gate = self.open("gate.lock")
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not locked(gate):
                if time.monotonic() > deadline:
                    message = f"embedded PostgreSQL in {self.home}: another process is still at it"
                    raise TargetError(message)
                time.sleep(_LOOK_SECONDS)
            yield gate
        finally:
            os.close(gate)


def _is_postgres(pid: int) -> bool:
    try:
        # Empty for a zombie, which kill(pid, 0) takes for a living process.
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(b"postgres")
    except OSError:
        return False


def locked(descriptor: int) -> bool:
    """Take the lock of an open file exclusively if nobody else holds it, and say whether that succeeded."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _environment() -> dict[str, str]:
    """Our environment without what would steer PostgreSQL: PGPORT, PGDATA, the locale."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C"}


def _tail(log: bytes) -> str:
    lines = [line.strip() for line in log.decode(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-5:]) or "no message"
