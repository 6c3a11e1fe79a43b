"""Whether there is room for what will grow: the target, the changelog and write-ahead log, cdcsync's own files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cdcsync.edges.room import data_directory, free_bytes
from cdcsync.edges.source import MIB, Source
from cdcsync.edges.target import Target
from cdcsync.machine.context import EMBEDDED
from cdcsync.words.nouns import Finding
from cdcsync.words.settings import Settings

TARGET_GROWTH = 2.5
"""Bytes PostgreSQL writes for one of the source: wider rows, indexes, and its own write-ahead log meanwhile."""

SOURCE_GROWTH = 0.2
"""What changelog, write-ahead log and spooled rows may take of the source's size before an operator looks."""

LEAST_BYTES = 256 * MIB


def room_findings(source: Source, target: Target, settings: Settings) -> Iterator[Finding]:
    """Say where space is short, or cannot be known."""
    size = source.path.stat().st_size + source.wal_bytes()
    own = max(int(size * SOURCE_GROWTH), LEAST_BYTES)
    embedded = settings.target == EMBEDDED
    copied = int(size * TARGET_GROWTH)
    yield from _short(source.path.parent, own, "changelog and write-ahead log of the source")
    yield from _short(settings.state_dir, own + (copied if embedded else 0), "state_dir")
    if embedded:
        return
    directory = data_directory(target)
    if directory is not None:
        yield from _short(directory, copied, "the target's data directory")
        return
    message = f"PostgreSQL will need about {_size(copied)} for the copy; its free space cannot be seen from here"
    yield Finding("info", "room_unknown", message, "compare with the free space on the server")


def _short(path: Path, wanted: int, what: str) -> Iterator[Finding]:
    free = free_bytes(path.absolute())
    if free < wanted:
        message = f"{what}: {path} has {_size(free)} free, {_size(wanted)} or more may be needed"
        yield Finding("warning", "little_room", message, "make room, or move it to a larger file system")


def _size(count: int) -> str:
    return f"{count / MIB:,.0f} MiB" if count >= MIB else f"{count:,} bytes"
