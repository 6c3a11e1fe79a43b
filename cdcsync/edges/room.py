"""Free space where files will grow."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg

from cdcsync.edges.target import Target


def free_bytes(path: Path) -> int:
    """Return the free bytes of the file system a path is on, or will be on when it is made."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def data_directory(target: Target) -> Path | None:
    """Return where PostgreSQL keeps its files, if it runs on this machine and the role may know."""
    info = target.connection.info
    if info.host and not info.host.startswith("/") and info.hostaddr not in {"127.0.0.1", "::1"}:
        return None
    try:
        (told,) = target.ask("session.sql", "data_directory")
    except psycopg.errors.InsufficientPrivilege:
        return None
    found = Path(told)
    try:
        return found if (found / "PG_VERSION").exists() else None
    except PermissionError:
        return None
