"""Many names in one line."""

from __future__ import annotations

from collections.abc import Sequence

MOST_NAMED = 10


def listed(names: Sequence[str]) -> str:
    """Return names in a row, cut after some with the number of the others."""
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
