"""How much of a write-ahead log is in use. The file itself never shrinks, so its size says nothing."""

from __future__ import annotations

import os
from pathlib import Path

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_PAGE_SIZE = slice(8, 12)
_SALTS = slice(16, 24)
_FRAME_SALTS_AT = 8


def wal_bytes_used(database: Path) -> int:
    """Return the bytes of the log's current generation; 0 where there is no log.

    A log that begins anew writes over the old frames from the start, under new salts: those of the header are in
    every frame that counts (https://www.sqlite.org/fileformat2.html#the_write_ahead_log). Found by halving. SQLite
    keeps its locks on other files, so opening this one beside it drops none.
    """
    try:
        with database.with_name(database.name + "-wal").open("rb", buffering=0) as wal:
            header = wal.read(_HEADER_BYTES)
            if len(header) < _HEADER_BYTES:
                return 0
            frame = int.from_bytes(header[_PAGE_SIZE], "big") + _FRAME_HEADER_BYTES
            low, high = 0, (wal.seek(0, os.SEEK_END) - _HEADER_BYTES) // frame
            while low < high:
                middle = (low + high) // 2
                wal.seek(_HEADER_BYTES + middle * frame + _FRAME_SALTS_AT)
                if wal.read(8) == header[_SALTS]:
                    low = middle + 1
                else:
                    high = middle
            return low * frame
    except FileNotFoundError:
        return 0
