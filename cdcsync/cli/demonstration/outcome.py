"""What the demo ends with: the contract's figures as JSON, and a short table for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cdcsync.cli.demonstration import gauges

Rows = list[tuple[str, str]]


@dataclass(slots=True)
class Outcome:
    """Figures of one play. `faults` are lines that say what is wrong, none if all is well."""

    rows: int = 0
    commits_acknowledged: int = 0
    commits_found: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            "rows": self.rows,
            "commits_acknowledged": self.commits_acknowledged,
            "commits_found": self.commits_found,
            "latency_p50_ms": gauges.percentile(self.latencies_ms, 0.5),
            "latency_p99_ms": gauges.percentile(self.latencies_ms, 0.99),
            "latency_samples": len(self.latencies_ms),
            "pause_seconds": None,
            "switch_seconds": None,
            "faults": self.faults,
        }

    def table(self) -> Rows:
        """Return names and values for people."""
        raise NotImplementedError

    @property
    def verdict(self) -> str:
        """The last line."""
        raise NotImplementedError


@dataclass(slots=True)
class MoveOutcome(Outcome):
    """Figures of an application's move; `pause_parts` and `clients` explain the pause from both sides."""

    history_rows: int = 0
    pause_seconds: float = 0.0
    switch_seconds: float = 0.0
    pause_parts: dict[str, float] = field(default_factory=dict)
    clients: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return what `--json` prints."""
        # slots and super() without arguments do not go together in a dataclass.
        return {
            **Outcome.as_json(self),
            "pause_seconds": round(self.pause_seconds, 3),
            "switch_seconds": round(self.switch_seconds, 3),
            "longest_wait_seconds": self._longest_wait,
            "writes_failed": self.clients.get("failed"),
        }

    def table(self) -> Rows:
        """Return names and values for people."""
        parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in self.pause_parts.items())
        return [
            ("rows", f"{self.rows:,} in PostgreSQL, {self.history_rows:,} of them history"),
            ("commits acknowledged", f"{self.commits_acknowledged:,}"),
            ("commits found", f"{self.commits_found:,} in PostgreSQL, by id and text"),
            ("latency", f"{gauges.latency(self.latencies_ms)} ({len(self.latencies_ms)} samples)"),
            ("", "from COMMIT acknowledged in SQLite to visible in PostgreSQL"),
            ("write pause", f"{self.pause_seconds:.2f} s: {parts}"),
            ("switch", f"{self.switch_seconds:.2f} s until PostgreSQL acknowledged a write"),
            ("longest wait", f"{self._longest_wait:.2f} s for one client's write; {self.clients['failed']} writes failed"),
        ]

    @property
    def verdict(self) -> str:
        """The last line."""
        if self.faults:
            return f"{len(self.faults)} things are wrong"
        return "Every acknowledged write is in PostgreSQL, and ids went on where SQLite's ended."

    @property
    def _longest_wait(self) -> float:
        return round(self.clients["latency_max_ms"] / 1000, 3)
