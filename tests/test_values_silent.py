"""What PostgreSQL would change without a word is refused, and what other tools change on the way arrives untouched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.value_dice import Bytes
from support.value_road import Road

from cdcsync.core.codecs import codec_for
from cdcsync.words.nouns import ColumnPlan

if TYPE_CHECKING:
    from pathlib import Path

    from support.postgres import Database
    from support.value_dice import Value

# Mapping, value, and how PostgreSQL itself would read the value (None: it has no word for such a value).
SILENT: dict[str, tuple[str, Value, str | None]] = {
    "now is a word for a time": ("timestamptz", Bytes(b"now"), "'now'::timestamptz"),
    "today is a word for a time": ("date", Bytes(b"today"), "'today'::date"),
    "infinity is a word for a time": ("timestamptz", Bytes(b"infinity"), "'infinity'::timestamptz"),
    "epoch is a word for a time": ("timestamp", Bytes(b"epoch"), "'epoch'::timestamp"),
    "timestamp drops the offset": ("timestamp", Bytes(b"2024-01-01 00:00+02"), "'2024-01-01 00:00+02'::timestamp"),
    "a zone is no offset": ("timestamptz", Bytes(b"2024-01-01 00:00 EST"), "'2024-01-01 00:00 EST'::timestamptz"),
    "the seventh decimal is rounded": (
        "timestamptz", Bytes(b"2024-01-01 00:00:00.1234567Z"), "'2024-01-01 00:00:00.1234567Z'::timestamptz"),
    "a date drops the time": ("date", Bytes(b"2024-01-01 10:00:00"), "'2024-01-01 10:00:00'::date"),
    "a time drops the date": ("time", Bytes(b"2024-01-01 10:00:00"), "'2024-01-01 10:00:00'::time"),
    "leap seconds roll over": ("timestamptz", Bytes(b"2023-12-31 23:59:60Z"), "'2023-12-31 23:59:60Z'::timestamptz"),
    "numeric(5,2) rounds text": ("numeric(5,2)", Bytes(b"1.005"), "'1.005'::numeric(5,2)"),
    "numeric(5,2) rounds reals": ("numeric(5,2)", 1.005, "1.005::numeric(5,2)"),
    "integers round": ("integer", 1.5, "1.5::integer"),
    "integers round text": ("bigint", Bytes(b"12.5"), "'12.5'::numeric::bigint"),
    "varchar cuts trailing spaces": ("varchar(3)", Bytes(b"abc "), "'abc '::varchar(3)"),
    "char pads and forgets spaces": ("char(4)", Bytes(b"ab "), "'ab '::char(4)"),
    "float8 to numeric keeps 15 digits": ("numeric(20,1)", 0.1 + 0.2, "(0.1::float8 + 0.2::float8)::numeric"),
    "real keeps 6 digits": ("real", 0.1 + 0.2, "0.30000000000000004::real"),
    "jsonb drops a name given twice": ("jsonb", Bytes(b'{"a": 1, "a": 2}'), """'{"a": 1, "a": 2}'::jsonb"""),
    "a slashed date depends on DateStyle": ("date", Bytes(b"01/02/2024"), "'01/02/2024'::date"),
    "years of two digits are guessed": ("date", Bytes(b"24-01-02"), "to_date('24-01-02', 'YY-MM-DD')"),
    "a number may count anything": ("timestamptz", 1_700_000_000, None),
    "2 is no boolean": ("boolean", 2, "2::boolean"),
    "a double has 53 bits": ("double precision", 2**53 + 1, "(2^53 + 1)::float8"),
    "a blob is no text": ("text", b"abc", r"encode('\x616263', 'escape')"),
    "a text is no blob": ("bytea", Bytes(b"abc"), "'abc'::bytea"),
    "NUL ends no text": ("text", Bytes(b"a\0b"), None),
    "NUL in JSON": ("jsonb", Bytes(b'"a\\u0000b"'), None),
    "invalid UTF-8": ("text", Bytes(b"a\xff"), None),
    "the empty text is no date": ("date", Bytes(b""), None),
    "the empty text is no time": ("timestamptz", Bytes(b""), None),
    "the empty text is no number": ("numeric", Bytes(b""), None),
    "an address is masked": ("cidr", Bytes(b"10.0.0.1"), "'10.0.0.1'::cidr"),
    "half a microsecond of an interval": ("interval(0)", 1_500_000, "'1.5 seconds'::interval(0)"),
}  # fmt: skip


@pytest.mark.parametrize("what", SILENT)
def test_a_silent_change_is_refused(tmp_path: Path, shared_database: Database, what: str) -> None:
    """PostgreSQL takes the value without an error, or could not hold it; here it does not arrive."""
    mapped, value, taken = SILENT[what]
    if taken is not None:
        shared_database.rows(f"SELECT ({taken})::text")
    with Road(tmp_path, shared_database, {"type": mapped}, key=False) as road:
        arrived = road.pass_through([value])
    assert arrived.refused == {0}
    assert arrived.errors == {"v": 1}


# Mapping, value, what PostgreSQL shows.
EXACT: dict[str, tuple[str, Value, str]] = {
    "a float through its text loses digits": ("double precision", 0.1 + 0.2, "0.30000000000000004"),
    "an integer beyond 2^53 in a double": ("double precision", 2**60, "1.152921504606847e+18"),
    "a decimal of 20 digits": ("numeric", Bytes(b"12345678901234567890.123456789"), "12345678901234567890.123456789"),
    "the zeros of a decimal": ("numeric", Bytes(b"12.50"), "12.50"),
    "all digits of a real as numeric": ("numeric", 0.1 + 0.2, "0.30000000000000004"),
    "spaces at the end of a text": ("text", Bytes(b"abc  "), "abc  "),
    "a naive time is UTC": ("timestamptz", Bytes(b"2024-03-31 02:30:00"), "2024-03-31 02:30:00+00"),
    "a naive time in the fold": ("timestamptz", Bytes(b"2024-10-27 02:30:00"), "2024-10-27 02:30:00+00"),
    "a naive time without zone": ("timestamp", Bytes(b"2024-03-31 02:30:00"), "2024-03-31 02:30:00"),
    "numbers in JSON": ("jsonb", Bytes(b"[12345678901234567890.10]"), "[12345678901234567890.10]"),
    "an escaped backslash before u0000": ("jsonb", Bytes(b'"\\\\u0000"'), '"\\\\u0000"'),
}


@pytest.mark.parametrize("what", EXACT)
def test_what_others_change_arrives_untouched(tmp_path: Path, shared_database: Database, what: str) -> None:
    """To the last digit, whatever time zone and date style the database prefers."""
    mapped, value, shown = EXACT[what]
    with shared_database.server.admin(shared_database.name) as admin:
        admin.execute(f"ALTER DATABASE {shared_database.name} SET timezone = 'Europe/Berlin'".encode())
        admin.execute(f"ALTER DATABASE {shared_database.name} SET datestyle = 'SQL, DMY'".encode())
    with Road(tmp_path, shared_database, {"type": mapped}, key=False) as road:
        arrived = road.pass_through([value])
    assert arrived.copied == arrived.sent == {0: shown}


@pytest.mark.parametrize(
    ("value", "likely"),
    [(1_700_000_000, "epoch_s"), (1_700_000_000.5, "epoch_s"), (1_700_000_000_123, "epoch_ms"),
     (1_700_000_000_123_456, "epoch_us"), (2_460_000.5, "julian")],
)  # fmt: skip
def test_a_number_among_times_names_the_format_to_set(value: float, likely: str) -> None:
    """The refusal of an epoch in a DATETIME column says which format its size suggests."""
    codec = codec_for(ColumnPlan("v", "v", "timestamp with time zone"), key=False)
    with pytest.raises(ValueError, match=f'format = "{likely}"'):
        codec.one("integer" if isinstance(value, int) else "real", value)
