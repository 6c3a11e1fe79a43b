"""Values are cut for people so that they still say what they are."""

from __future__ import annotations

import pytest

from cdcsync.core.keys import show_value
from cdcsync.words.nouns import Value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "NULL"),
        ("abcdefgh", "'abcdefgh'"),
        ("abcdefghi", "'abcdefgh'... (9 characters)"),
        (b"\x01\x02\x03\x04", "x'01020304'"),
        (b"\x01\x02\x03\x04\x05", "x'01020304'... (5 bytes)"),
        (-12345678901234567890, "-12345678901234567890"),
        (1.0000000000000002, "1.0000000000000002"),
        ("x" * 9_999, "'xxxxxxxx'... (9,999 characters)"),
    ],
)
def test_a_cut_value_is_closed_and_has_its_length(value: Value, shown: str) -> None:
    """A number is never cut: it would be another."""
    assert show_value(value, 8) == shown
