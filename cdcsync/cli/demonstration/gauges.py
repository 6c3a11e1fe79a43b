"""Turn what is measured into what is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from cdcsync.cli.demonstration.picture import Bar, View

Status = dict[str, Any]


def copying(found: Status) -> View:
    """Show how far the copy of each table is."""
    if found["state"] in {None, "installed"}:
        return View("the daemon starts")
    bars = tuple(Bar(table["name"], table["rows_copied"], table["rows_total"]) for table in found["tables"])
    # Rows were added since the tables were counted.
    done, total = sum(bar.done for bar in bars), sum(max(bar.done, bar.total or 0) for bar in bars)
    return View(f"{found['state']}: {done:,} of {total:,} rows copied", bars)


def streaming(found: Status, rate: float, commits: int, latencies: Sequence[float]) -> View:
    """Show state, lag, commit rate and latency."""
    behind = f"{found['pending_changes']} changes, {found['lag_seconds']:.1f} s"
    facts = (
        ("state", str(found["state"])),
        ("behind by", behind),
        ("commits", f"{rate:.0f} a second, {commits:,} so far"),
        ("latency", f"{latency(latencies)}, from COMMIT in SQLite to visible in PostgreSQL"),
    )
    line = f"{found['state']}, {behind} behind, {rate:.0f} commits/s, latency {latency(latencies)}"
    return View(line, facts=facts)


def serving(rate: float, commits: int) -> View:
    """Show the clients at work, now on PostgreSQL."""
    facts = (("database", "PostgreSQL"), ("commits", f"{rate:.0f} a second, {commits:,} so far"))
    return View(f"on PostgreSQL, {rate:.0f} commits/s", facts=facts)


def latency(values: Sequence[float]) -> str:
    """Return median and 99th percentile of latencies in milliseconds."""
    if not values:
        return "not measured yet"
    return f"p50 {percentile(values, 0.5):.1f} ms, p99 {percentile(values, 0.99):.1f} ms"


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least this share of the values does not exceed; None if there are none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def size(count: int) -> str:
    """Return a number of bytes for people."""
    return f"{count / 2**20:,.1f} MiB" if count >= 2**20 else f"{count / 2**10:,.0f} KiB"
