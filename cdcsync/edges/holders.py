"""Which processes have a file open, where the system tells: Linux, of processes this user may look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Holder:
    """A process; `name` is its program, with the script it runs."""

    pid: int
    name: str

    def __str__(self) -> str:
        """Return it as people look for it."""
        return f"{self.name} (pid {self.pid})"


def holders(path: Path, besides: set[int]) -> list[Holder]:
    """Return the processes that have this very file open, under whatever name. `besides`: pids left out."""
    wanted = path.stat()
    found = []
    for folder in _processes():
        pid = int(folder.name)
        if pid not in besides and _has_open(folder, (wanted.st_dev, wanted.st_ino)):
            found.append(Holder(pid, _name(folder)))
    return found


def _processes() -> Iterator[Path]:
    try:
        yield from (folder for folder in PROC.iterdir() if folder.name.isdecimal())
    except OSError:
        return


def _has_open(folder: Path, identity: tuple[int, int]) -> bool:
    """Another user's process may not be looked at, and any may end meanwhile."""
    try:
        return any(_identity(descriptor) == identity for descriptor in (folder / "fd").iterdir())
    except OSError:
        return False


def _identity(descriptor: Path) -> tuple[int, int] | None:
    """Return device and inode; never by opening it: closing a file drops the locks SQLite holds on it in a process."""
    try:
        status = descriptor.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _name(folder: Path) -> str:
    """Return program and first argument only: the others may hold a password."""
    try:
        words = (folder / "cmdline").read_bytes().split(b"\0")[:2]
    except OSError:
        words = []
    names = [Path(word.decode(errors="replace")).name for word in words if word and not word.startswith(b"-")]
    return " ".join(names)[:SHOWN_CHARACTERS] or "unnamed"
