"""Rows between SQLite and PostgreSQL: no read transaction is ever held while PostgreSQL is waited for."""

from __future__ import annotations

import marshal
import struct
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Self

from cdcsync.core.codecs import Sent

Row = tuple[Sent, ...]

_LENGTH = struct.Struct("<Q")
# Batches up to this many bytes never touch the disk.
MEMORY_BYTES = 8 * 1024 * 1024


class Spool:
    """A batch of rows written once and read once, in memory while small and on disk when not."""

    def __init__(self) -> None:
        """Begin empty."""
        self._file = SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115  closed by __exit__
        self.count = 0

    def add(self, rows: list[Row]) -> None:
        """Append rows."""
        # marshal copies exactly these types (None, int, float, str, bytes) and is several times faster than pickle.
        # One write and one read a chunk: marshal's own file access makes a call for every value.
        packed = marshal.dumps(rows)
        self._file.write(_LENGTH.pack(len(packed)))
        self._file.write(packed)
        self.count += len(rows)

    def clear(self) -> None:
        """Forget all rows."""
        self._file.seek(0)
        self._file.truncate()
        self.count = 0

    def chunks(self) -> Iterator[list[Row]]:
        """Yield the rows in the lists they came in; can be repeated."""
        self._file.seek(0)
        left = self.count
        while left:
            (length,) = _LENGTH.unpack(self._file.read(_LENGTH.size))
            rows: list[Row] = marshal.loads(self._file.read(length))  # noqa: S302  written by this process
            left -= len(rows)
            yield rows

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the temporary file."""
        self._file.close()
