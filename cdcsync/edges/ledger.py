"""The verification ledger: what was proven equal, and up to which entry of the changelog."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cdcsync.edges.target import Target

_FILE = "ledger.sql"


@dataclass(frozen=True, slots=True)
class Proven:
    """All keys of a table but those with entries above `seq` were compared, and `differences` of them differed."""

    number: int
    seq: int
    rows: int
    differences: int
    swept_at: datetime


class Ledger:
    """What was proven of one source."""

    def __init__(self, target: Target, source_id: str) -> None:
        """Belong to a source."""
        self._target, self._source = target, {"source_id": source_id}

    def read(self) -> dict[int, Proven]:
        """Return what holds, by table number."""
        found = (Proven(*row) for row in self._target.rows(_FILE, "read", **self._source))
        return {proven.number: proven for proven in found}

    def expected(self) -> int:
        """Return how many tables there are to prove."""
        return int(self._target.ask(_FILE, "expected", **self._source)[0])

    def remade(self, number: int) -> int:
        """Return how often a table was copied or mended: to be asked before it is read through."""
        return int(self._target.ask(_FILE, "remade", **self._source, number=number)[0])

    def swept(self, number: int, epoch: str, seq: int, rows: int, differences: int, *, remade: int) -> bool:
        """Write down that a table was read through, up to an entry; False where it was copied or mended meanwhile."""
        done = self._target.execute(
            _FILE,
            "swept",
            **self._source,
            number=number,
            epoch=epoch,
            seq=seq,
            rows=rows,
            differences=differences,
            remade=remade,
        )
        return done.rowcount == 1

    def followed(self, before: Proven, epoch: str, seq: int, differences: int) -> None:
        """Write down that the keys that changed since were compared too, up to an entry."""
        self._target.execute(
            _FILE,
            "followed",
            **self._source,
            number=before.number,
            epoch=epoch,
            from_seq=before.seq,
            seq=seq,
            differences=differences,
        )

    def measured(self, rate: float) -> None:
        """Remember how many changed keys were compared in a second."""
        self._target.execute(_FILE, "rate", **self._source, rate=rate)
