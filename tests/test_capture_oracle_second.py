"""The oracle, second half: a file of its own, so that another worker can play it; see test_capture_oracle.py."""

from __future__ import annotations

import sys

import pytest
from support.oracle import play_all


@pytest.mark.timeout(0)
def test_no_history_changes_a_row_without_an_entry_nor_ends_otherwise(histories: int) -> None:
    """And no statement ends otherwise than on a twin without our triggers."""
    seeds = range(histories // 2, histories)
    sys.stdout.write(f"seeds {seeds.start} to {seeds.stop - 1}: {play_all(seeds)}\n")
