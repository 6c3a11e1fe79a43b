"""What a verification found, table by table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cdcsync.words.nouns import Difference

SHOWN = 1000
"""Differences listed one by one; the others are counted."""

Tick = Callable[[str, int], None]
"""Told the table and how many rows of it were compared just now."""


@dataclass(slots=True)
class TableResult:
    """What was compared in one table; `skipped` says why it was not. Rows in quarantine are counted apart."""

    rows_source: int = 0
    rows_target: int = 0
    differences: int = 0
    quarantined: int = 0
    skipped: str | None = None
    proven_seq: int | None = None
    """Every key without an entry above it was compared; None where nothing was."""


@dataclass(slots=True)
class VerifyReport:
    """What a verification found; `seq` is the position it holds for."""

    seq: int = 0
    tables: dict[str, TableResult] = field(default_factory=dict)
    shown: list[Difference] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not any(result.differences for result in self.tables.values())

    @property
    def rows_compared(self) -> int:
        """Rows of the source that were compared."""
        return sum(result.rows_source for result in self.tables.values())

    @property
    def quarantined(self) -> int:
        """Rows that were left out."""
        return sum(result.quarantined for result in self.tables.values())

    def add(self, difference: Difference) -> None:
        """Count a difference, and keep it while there are few."""
        if len(self.shown) < SHOWN:
            self.shown.append(difference)
