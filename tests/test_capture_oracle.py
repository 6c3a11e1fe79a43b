"""The oracle, first half: random schemas and random statements; no key whose row changed is without an entry.

    pytest --histories 1000000 -rP tests/test_capture_oracle.py tests/test_capture_oracle_second.py

plays a million histories of 30 statements on two cores, and prints what it played. Seeds begin at 0. A failure prints
its seed, and the shortest history that fails as it did.
"""

from __future__ import annotations

import sys

import pytest
from support.oracle import play_all


@pytest.mark.timeout(0)
def test_no_history_changes_a_row_without_an_entry_nor_ends_otherwise(histories: int) -> None:
    """And no statement ends otherwise than on a twin without our triggers."""
    seeds = range(histories // 2)
    sys.stdout.write(f"seeds {seeds.start} to {seeds.stop - 1}: {play_all(seeds)}\n")
