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
    """Figures of an application's move; `switch_parts` and `clients` explain the switch from both sides."""

    history_rows: int = 0
    pause_seconds: float = 0.0
    switch_seconds: float = 0.0
    switched_at: str = ""
    switch_parts: dict[str, float] = field(default_factory=dict)
    clients: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return what `--json` prints."""
        # slots and super() without arguments do not go together in a dataclass.
        return {
            **Outcome.as_json(self),
            "pause_seconds": round(self.pause_seconds, 3),
            "switch_seconds": round(self.switch_seconds, 3),
            "switched_at": self.switched_at,
            "longest_wait_seconds": self._longest_wait,
            "writes_failed": self.clients.get("failed"),
        }

    def table(self) -> Rows:
        """Return names and values for people."""
        return [
            ("rows", f"{self.rows:,} in PostgreSQL, {self.history_rows:,} of them history"),
            ("commits acknowledged", f"{self.commits_acknowledged:,}"),
            ("commits found", f"{self.commits_found:,} in PostgreSQL, by id and text"),
            ("latency", f"{gauges.latency(self.latencies_ms)} ({len(self.latencies_ms)} samples)"),
            ("", "from the acknowledged COMMIT in SQLite to visible in PostgreSQL"),
            ("write pause", f"{self.pause_seconds:.2f} s, from the fence until PostgreSQL could accept writes"),
            ("switch", f"{self.switch_seconds:.2f} s"),
            *[("", f"  {seconds:.2f} {what}") for what, seconds in self.switch_parts.items()],
            ("longest wait", f"{self._longest_wait:.2f} s, for a client's write in pause and switch"),
            ("writes failed", f"{self.clients['failed']}"),
        ]

    @property
    def verdict(self) -> str:
        """The last line."""
        if self.faults:
            return f"{len(self.faults)} things are wrong"
        return "Every acknowledged write is in PostgreSQL, and ids went on where SQLite's ended."

    @property
    def _longest_wait(self) -> float:
        return round(float(self.clients["latency_max_ms"]) / 1000, 3)


@dataclass(slots=True)
class OwnFileOutcome(Outcome):
    """Figures of a copy of the user's file."""

    equal: bool = False
    copy_seconds: float = 0.0
    tables: list[dict[str, Any]] = field(default_factory=list)
    pause_seconds: float | None = None

    @property
    def rate(self) -> str:
        """Rows a second of the copy."""
        return f"{self.rows / self.copy_seconds:,.0f} rows a second" if self.copy_seconds else "at once"

    def as_json(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            **Outcome.as_json(self),
            "equal": self.equal,
            "pause_seconds": self.pause_seconds,
            "copy_seconds": self.copy_seconds,
            "tables": self.tables,
        }

    def table(self) -> Rows:
        """Return names and values for people."""
        rows = [(table["name"], _compared(table)) for table in self.tables]
        rows += [
            ("", ""),
            ("rows", f"{self.rows:,}, copied in {self.copy_seconds:.1f} s: {self.rate}"),
            ("latency", f"{gauges.latency(self.latencies_ms)} ({len(self.latencies_ms)} samples)"),
            ("", "from COMMIT in SQLite to visible in PostgreSQL"),
            ("triggers", "what they cost on these tables: cdcsync check --measure"),
        ]
        if self.pause_seconds is not None:
            rows.append(("write pause", f"{self.pause_seconds:.2f} s, if the application were at rest as the copy is"))
        return rows

    @property
    def verdict(self) -> str:
        """The last line."""
        if self.faults:
            return f"{len(self.faults)} things are wrong"
        left_out = sum(table["skipped"] is not None for table in self.tables)
        of_what = f"{len(self.tables) - left_out} tables" if left_out else "the copy"
        return f"Every row of {of_what} is in PostgreSQL as it is in SQLite."


def _compared(table: dict[str, Any]) -> str:
    if table["skipped"] is not None:
        return f"not compared: {table['skipped']}"
    differences = table["differences"]
    return f"{table['rows_source']:,} rows, " + ("equal" if not differences else f"{differences} DIFFERENT")
