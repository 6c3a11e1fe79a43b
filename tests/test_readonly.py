"""Only `install` and `uninstall` write to the source: proved by the kernel's permissions, by open files, by content."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import shop
from support.compare import assert_same
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.cli import Cli
    from support.postgres import Database
    from support.processes import Running
    from support.proxy import Proxy

READING_VERBS = [
    ("check",),
    ("plan",),
    ("install", "--print"),
    ("run", "--once", "--dry-run"),
    ("run", "--once"),
    ("status",),
    ("lag",),
    ("verify",),
    ("drain", "--quiet-seconds", "0.1"),
    ("install",),  # a second time: installed already
    ("drain", "--handover", "--quiet-seconds", "0.1"),
]
# Root may write everything; without this capability it is a user like any other.
MORTAL = ("setpriv", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()


def _contents(source: Path) -> dict[str, str]:
    """Hash the database and its journals; -shm is shared memory, in which readers register."""
    files = [path for path in source.parent.glob("app.db*") if not path.name.endswith("-shm")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _open_flags(pid: int, file: Path) -> set[int]:
    """Return the access modes with which a process has a file open: O_RDONLY is 0."""
    modes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if descriptor.readlink() == file:
                info = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text()
                flags = int(info.split("flags:")[1].split()[0], 8)
                modes.add(flags & os.O_ACCMODE)
        except FileNotFoundError:
            # Closed since it was listed.
            continue
    return modes


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_no_verb_but_install_changes_a_byte_of_the_source(cli: Cli, source: Path, journal: str) -> None:
    """With changes waiting in the write-ahead log, no reading verb writes, checkpoints or deletes anything."""
    _recreate(source, journal)
    with closing(shop.open_as_application(source)) as application:
        cli("install")
        application.execute("PRAGMA wal_autocheckpoint = 0")
        application.execute("UPDATE customers SET name = 'in the log'")
        before = _contents(source)
        for verb in READING_VERBS:
            expected = 1 if verb == ("lag",) else 0
            cli(*verb, expect=expected)
            assert _contents(source) == before, verb


@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write everything")
def test_every_verb_but_install_works_where_the_kernel_forbids_writing(
    cli: Cli, database: Database, source: Path, journal: str
) -> None:
    """With files that may only be read, the whole move but `install` goes through."""
    _recreate(source, journal)
    with closing(shop.open_as_application(source)) as application:
        cli("install")
        application.execute("UPDATE customers SET name = 'in the log'")
        files = list(source.parent.glob("app.db*"))
        for file in files:
            file.chmod(0o444)
            if os.geteuid() == 0:
                os.chown(file, pwd.getpwnam("nobody").pw_uid, -1)
        try:
            probe = subprocess.run([*MORTAL, "sh", "-c", ': >>"$0"', source], capture_output=True, check=False)
            assert probe.returncode, "the source could be written to: the test would prove nothing"
            for verb in READING_VERBS:
                cli(*verb, expect=1 if verb == ("lag",) else 0, prefix=MORTAL)
        finally:
            for file in files:
                if os.geteuid() == 0:
                    os.chown(file, 0, -1)
                file.chmod(0o644)
        assert_same(source, database)


def test_daemon_holds_the_source_open_for_reading_only_in_every_phase(
    proxied_cli: Cli, proxy: Proxy, database: Database, source: Path, start_writer: Callable[..., Running]
) -> None:
    """While copying, catching up and streaming every descriptor on the database file is O_RDONLY."""
    source.unlink()
    shop.create(source, customers=5_000)
    with (proxied_cli.cwd / "cdcsync.toml").open("a") as settings:
        settings.write("copy_commit_rows = 1000\n")
    writer = start_writer(rate=100)
    proxied_cli("install")
    proxy.delay(0.01)
    daemon = proxied_cli.daemon(state=None)
    seen: dict[str, set[int]] = {}

    def reached(phase: str) -> bool:
        assert daemon.is_running(), daemon.err
        state = proxied_cli.state() or ""
        seen.setdefault(state, set()).update(_open_flags(daemon.pid, source))
        return phase in seen and bool(seen[phase])

    wait_until(lambda: reached("copying"), "a look at the copying daemon")
    proxy.delay(0)
    wait_until(lambda: reached("streaming"), "a look at the streaming daemon")
    for _ in range(50):
        reached("streaming")
    assert set.union(*seen.values()) == {os.O_RDONLY}, seen
    assert writer.terminate() == 0
    assert database.sessions() > 0


def _recreate(source: Path, journal: str) -> None:
    source.unlink()
    shop.create(source, customers=30, journal=journal)
