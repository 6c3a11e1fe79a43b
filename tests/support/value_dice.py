"""Values of every storage class for the property of values: boundaries, malformed things, and near twins of each."""

from __future__ import annotations

import json
import math
import struct
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import random
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Bytes:
    """A value of storage class text, by its bytes: they need not be UTF-8."""

    content: bytes


Value: TypeAlias = int | float | bytes | Bytes | None

_INTS = [0, 1, -1, 2, 9, 10, *(sign * (2**bits + step) for bits in (7, 8, 15, 16, 31, 32, 53, 62) for sign in (1, -1)
                               for step in (-1, 0, 1)), 2**63 - 1, -(2**63), 253_402_300_799, 253_402_300_800,
         -62_135_596_800, -62_135_596_801, 1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000]  # fmt: skip
_FLOATS = [0.0, -0.0, 1.0, 0.1, 0.5, 1.5, 2460000.5, 2440587.5, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308,
           math.inf, -math.inf, 1e15, 1e16, 1e22, 1e23, 123456789.123456789, 1700000000.123457, 1700000000.1234567,
           2.0**53, 2.0**53 + 2, 2.0**63, -(2.0**63), 9.9995, 0.005, 1.005]  # fmt: skip
_TEXTS = ["", " ", "now", "today", "infinity", "-infinity", "NaN", "Infinity", "epoch", "allballs", "12.0", "1.10",
          "abc", "0x1F", "1e3", "1_000", "+5", " 5", "5 ", "٣", "true", "TRUE", "t", "Yes", "off", "2", "null", "NULL",
          "01/02/2024", "2024-02-30", "2023-02-29", "2024-02-29", "0000-01-01", "9999-12-31", "10000-01-01",
          "2024-13-01", "24:00:00", "23:59:60", "12:00", "{}", "[]", "{", '""', "'", "\\", "\\x00", "\\N", "\\.",
          '{"a":1,"a":2}', '"\\u0000"', '"\\\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"', "-0", "1e400", "1e200000",
          "1e-20000", "[1e131071]", "[1e131072]", "[1e-16383]", "[1e-16384]",
          "12345678901234567890.12345678901234567890"]  # fmt: skip


def value(dice: random.Random, kinds: tuple[str, ...]) -> Value:
    """Return a value, in three of four cases of a kind in `kinds`."""
    kind = dice.choice(kinds) if kinds and dice.random() < 0.75 else dice.choice(list(KINDS))
    made = KINDS[kind](dice)
    return Bytes(made.encode()) if isinstance(made, str) else made


def twin(dice: random.Random, of: Value) -> Value:
    """Return a value that some type may take for the same as another one."""
    if isinstance(of, Bytes):
        text = of.content
        endings = [b" ", b"0", b"Z", b"\0", b"\xff", b".0", b"+00:00"]
        others = [
            *(text.swapcase(), text.upper(), text.lower(), b" " + text, b"0" + text, text.removesuffix(b"Z")),
            *(text.replace(b" ", b"T", 1), text.replace(b"T", b" ", 1), text.replace(b"-", b""), text[:19], text[:10]),
            *(text + ending for ending in endings),
        ]
        return text if dice.random() < 0.05 else Bytes(dice.choice(others))
    if isinstance(of, bytes):
        return Bytes(of)
    if of is None:
        return Bytes(b"NULL")
    other: Value = math.nextafter(of, math.inf) if isinstance(of, float) else max(-(2**63), of - 1)
    if isinstance(of, int):
        return dice.choice([float(of), Bytes(str(of).encode()), other])
    return dice.choice([Bytes(repr(of).encode()), other, int(of) if abs(of) < 2**62 else other])


def _float(dice: random.Random) -> float:
    found = struct.unpack("d", dice.randbytes(8))[0]
    return 0.5 if math.isnan(found) else float(found)


def _text(dice: random.Random) -> str:
    letters = dice.choice(["abc", "aé面🎉", "\x01\x7f\t\n\r\"'\\", "a \u00a0\u3000", "AaÅÄäß"])
    return "".join(dice.choice(letters) for _ in range(dice.choice([0, 1, 3, 6, 7, 8, 9, 40])))


def _long(dice: random.Random) -> str:
    return dice.choice(["x", "面", "🎉"]) * dice.choice([100, 2000, 20_000])


def _broken(dice: random.Random) -> Bytes:
    part = dice.choice(
        [b"\0", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\0\0", b"\x80\0"]
    )
    places = [b'"%sa"', b"a%sb", b"%s", b"%s%s", b'{"k%s": 1, "k": 2}', b"2024-01-01%s", b"\\x00%s", b'"\\u0000%s"']
    return Bytes(dice.choice(places).replace(b"%s", part))


def _moment(dice: random.Random) -> str:
    moment = datetime(1, 1, 2, tzinfo=UTC) + timedelta(seconds=dice.randrange(315_537_000_000))
    if dice.random() < 0.6:
        moment = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=dice.randrange(3), hours=dice.randrange(24))
    zone = timezone(timedelta(minutes=dice.choice([0, 0, 120, -300, 330, 765, -1, 900])))
    day = moment.astimezone(zone).strftime("%Y-%m-%d").rjust(10, "0")
    clock = moment.astimezone(zone).strftime(dice.choice(["%H:%M:%S", "%H:%M:%S", "%H:%M:%S", "%H:%M"]))
    fraction = dice.choice(
        ["", "", ".5", ".50", ".000", ".123", ".123456", ".1234560", ".1234567", ".123456789", ".", ".000000000"]
    )
    offset = dice.choice(["", "", "Z", "z", " UTC", "+00:00", "+0000", "-00:00", "%z", "%z", "%:z", " %z", " %z UTC",
                          " %z +03", " %z CET m=+0.01", " EST", "+25:00", "+05:30:15"])  # fmt: skip
    written = moment.astimezone(zone).strftime("%z")
    offset = offset.replace("%:z", f"{written[:3]}:{written[3:5]}").replace("%z", written)
    return f"{day}{dice.choice([' ', ' ', 'T', 'T', '_'])}{clock}{fraction}{offset}"


def _plain_moment(dice: random.Random) -> str:
    """Spell a time as SQLite itself does."""
    moment = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=dice.randrange(2_000_000))
    return moment.strftime("%Y-%m-%d %H:%M:%S") + dice.choice(["", "", ".5", ".50", ".123456", ".1234567"])


def _json(dice: random.Random, depth: int = 3) -> str:
    if depth == 0 or dice.random() < 0.4:
        return dice.choice([
            "null", "true", "1", "-0", "1.10", "1e5", "12345678901234567890", "0.1234567890123456789012", "1E+400",
            "NaN", *map(json.dumps, (_text(dice), "\0", "a\\\0b", "\ud800", "\\u0000")),
        ])  # fmt: skip
    if dice.random() < 0.5:
        return (
            "["
            + ", ".join(_json(dice, depth - 1) for _ in range(dice.randrange(3)))
            + dice.choice(["]", "]", " ]", ",]"])
        )
    keys = [dice.choice(['"a"', '"b"', '"\\u0061"', '""', '"a\\u0000"', '"面"']) for _ in range(dice.randrange(4))]
    return "{" + ", ".join(f"{key}: {_json(dice, depth - 1)}" for key in keys) + "}"


def _uuid(dice: random.Random) -> str | bytes:
    made = uuid.UUID(bytes=dice.randbytes(16))
    text = str(made)
    odd = [f"{{{made}}}", text[:-1], text.replace("-", " "), made.urn, text.title()]
    return dice.choice([text, text, text.upper(), made.hex, made.hex.upper(), made.bytes, dice.choice(odd)])


def _decimal(dice: random.Random) -> str:
    digits = "".join(dice.choice("0123456789") for _ in range(dice.choice([1, 2, 5, 12, 40])))
    places = dice.choice(["", ".", ".0", ".5", ".50", ".125", ".0001", "e3", "e-3", ".1e1"])
    return dice.choice(["", "", "-", "+"]) + digits + places


def _clock(dice: random.Random) -> str:
    return f"{dice.randrange(26):02}:{dice.randrange(61):02}" + dice.choice(
        ["", ":00", ":59", ":30.5", ":30.50", ":01.1234567"]
    )


def _address(dice: random.Random) -> str:
    four = ".".join(str(dice.choice([0, 1, 10, 255, 256])) for _ in range(4))
    six = dice.choice(["::", "::1", "::2", "2001:db8::1", "2001:DB8::1", "2001:0db8::1", "::ffff:1.2.3.4", "::1.2.3.4",
                       "::ffff:102:304", "::102:304",
                       "1:0:0:2::3", "1::2:0:0:3", "fe80::1%eth0", "1:2:3:4:5:6:7:8", "64:ff9b::1"])  # fmt: skip
    return dice.choice([four, four, six]) + dice.choice(["", "", "/32", "/24", "/8", "/0", "/128", "/64"])


KINDS: dict[str, Callable[[random.Random], str | Value]] = {
    "null": lambda _dice: None,
    "int": lambda dice: dice.choice(_INTS),
    "any int": lambda dice: dice.randrange(-(2**63), 2**63) >> dice.randrange(0, 64),
    "small int": lambda dice: dice.randrange(-3, 3),
    "epoch": lambda dice: dice.randrange(0, 4_000_000_000) * dice.choice([1, 1000, 1_000_000, 86_400]),
    "float": lambda dice: dice.choice(_FLOATS),
    "any float": _float,
    "decimal float": lambda dice: round(dice.uniform(-1000, 1000), dice.randrange(8)),
    "epoch float": lambda dice: dice.randrange(4_000_000_000) + dice.choice([0.0, 0.5, 0.25, 0.123456, 0.1234567]),
    "julian": lambda dice: 2_400_000.5 + dice.randrange(100_000) + dice.choice([0.0, 0.5, 0.25, dice.random()]),
    "special": lambda dice: dice.choice(_TEXTS),
    "julian day": lambda dice: 2_400_000 + dice.randrange(100_000),
    "mood": lambda dice: dice.choice(["sad", "ok", "SAD", "ok ", "other"]),
    "text": _text,
    "long": lambda dice: _long(dice) if dice.random() < 0.1 else _text(dice),
    "broken": _broken,
    "blob": lambda dice: dice.randbytes(dice.choice([0, 1, 15, 16, 16, 17, 40])),
    "blob of text": lambda dice: dice.choice(_TEXTS).encode(),
    "moment": _moment,
    "plain moment": _plain_moment,
    "epoch day": lambda dice: dice.randrange(40_000) * 86_400 * dice.choice([1, 1000, 1_000_000]),
    "day": lambda dice: (
        f"{dice.choice([1, 999, 1970, 2000, 2024, 9999]):04}-{dice.randrange(1, 13):02}-{dice.randrange(1, 32):02}"
    ),
    "clock": _clock,
    "json": _json,
    "uuid": _uuid,
    "decimal": _decimal,
    "address": _address,
}
