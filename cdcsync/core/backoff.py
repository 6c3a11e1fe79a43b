"""How long to wait before trying again: doubling, bounded, with jitter so that many do not come at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Seconds to wait after the n-th failure in a row; it is told its randomness and keeps no clock."""

    least: float = 0.2
    most: float = 30.0
    failures: int = 0

    def failed(self, random: float) -> float:
        """Count a failure and return the seconds to wait; `random` is in [0, 1)."""
        delay = min(self.most, self.least * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return delay * (0.5 + random / 2)

    def succeeded(self) -> None:
        """Begin again from the shortest wait."""
        self.failures = 0
