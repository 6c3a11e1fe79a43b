"""Types of a mapping: what applications write arrives, odd declared types stop nothing, nonsense is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.refusals import USAGE

from cdcsync.core.codecs import codec_for
from cdcsync.core.plan import table_plans
from cdcsync.edges.schema import read_schema
from cdcsync.words.errors import UsageError
from cdcsync.words.settings import Settings

if TYPE_CHECKING:
    from support.cli import Cli

    from cdcsync.words.nouns import ColumnPlan

UUID = "01234567-89ab-4cde-8f01-23456789abcd"
HEX = UUID.replace("-", "")
AT = "2024-05-06 07:08:09.123456+00:00"
AT_MS = "2024-05-06 07:08:09.123000+00:00"

# Declared type, mapping, what SQLite holds, what is sent, as text.
WRITTEN: dict[str, tuple[str, Any, object, str]] = {
    "Django datetime": ("datetime", None, "2024-05-06 07:08:09.123456", AT),
    "Django uuid": ("char(32)", "uuid", HEX, UUID),
    "Django decimal": ("decimal", "numeric(10,2)", 12.5, "12.5"),
    "Django bool": ("bool", None, 1, "true"),
    "Django duration": ("bigint", "interval", 90_061_000_001, "1 days 3661000001 microseconds"),
    "Django address": ("char(39)", "inet", "2001:db8::1", "2001:db8::1"),
    "Django date": ("date", None, "2024-05-06", "2024-05-06"),
    "SQLAlchemy DateTime": ("DATETIME", None, "2024-05-06 07:08:09.123456", AT),
    "SQLAlchemy Uuid": ("CHAR(32)", "uuid", HEX, UUID),
    "SQLAlchemy Boolean": ("BOOLEAN", None, 0, "false"),
    "SQLAlchemy Numeric": ("NUMERIC(10, 2)", None, 10, "10"),
    "Rails datetime": ("datetime(6)", None, "2024-05-06 07:08:09.123456", AT),
    "Rails boolean of old": ("boolean", None, "t", "true"),
    "Rails to_s": ("datetime", None, "2024-05-06 07:08:09 UTC", "2024-05-06 07:08:09+00:00"),
    "Prisma DateTime": ("DATETIME", {"format": "epoch_ms"}, 1_714_979_289_123, AT_MS),
    "Prisma default beside it": ("DATETIME", {"format": "epoch_ms"}, "2024-05-06 07:08:09.123456", AT),
    "TypeORM datetime": ("datetime", None, "2024-05-06 07:08:09.123", AT_MS),
    "Sequelize": ("DATETIME", None, "2024-05-06 07:08:09.123 +00:00", AT_MS),
    "Diesel Timestamp": ("TIMESTAMP", None, "2024-05-06 07:08:09.123456", AT),
    "Rust nanoseconds": ("DATETIME", {"on_finer": "truncate"}, "2024-05-06T07:08:09.123456789+00:00", AT),
    "Go by mattn": ("DATETIME", None, "2024-05-06 09:08:09.123456+02:00", AT),
    "Go by modernc": ("DATETIME", None, "2024-05-06 09:08:09.123456 +0200 CEST m=+0.012345", AT),
    "Go by modernc in UTC": ("DATETIME", None, "2024-05-06 07:08:09.123456 +0000 UTC", AT),
    "Go date": ("DATE", None, "2024-05-06 00:00:00+00:00", "2024-05-06"),
    "JavaScript toISOString": ("TEXT", "timestamptz", "2024-05-06T07:08:09.123Z", AT_MS),
    "JavaScript Date.now as text": ("TEXT", {"format": "epoch_ms"}, "1714979289123.0", AT_MS),
    "Python time.time": (
        "REAL", {"format": "epoch_s", "on_finer": "truncate"}, 1714979289.1234567, "2024-05-06 07:08:09.123456+00:00"),
    "Python adapter": ("timestamp", None, "2024-05-06 07:08:09.123456+00:00", AT),
    "SQLite julianday": ("REAL", {"type": "timestamptz", "format": "julian"}, 2460436.5, "2024-05-06 00:00:00+00:00"),
    "epoch as a day": ("INTEGER", {"type": "date", "format": "epoch_s"}, 1_714_953_600, "2024-05-06"),
    "UUID as bytes": ("BLOB", "uuid", bytes.fromhex(HEX), UUID),
    "UUID of .NET": ("TEXT", "uuid", UUID.upper(), UUID),
    "JSON of anybody": ("JSON", None, '{"a": [1, 2.50]}', '{"a": [1, 2.50]}'),
}  # fmt: skip


def _plan(declared: str, mapping: Any, key: str = "") -> ColumnPlan:
    tables = {} if mapping is None else {"t": {"columns": {"v": mapping}}}
    with closing(sqlite3.connect(":memory:")) as source:
        source.execute(f"CREATE TABLE t (n INTEGER{' PRIMARY KEY' * (not key)}, v {declared} {key})")
        (plan,) = table_plans(read_schema(source), Settings(tables=tables), {})
    return plan.columns[1]


@pytest.mark.parametrize("who", WRITTEN)
def test_what_applications_write_arrives(who: str) -> None:
    """Times, truth values, decimals, UUIDs and JSON as the libraries of SQLite users write them."""
    declared, mapping, value, sent = WRITTEN[who]
    codec = codec_for(_plan(declared, mapping), key=False)
    storage: Any = {int: "integer", float: "real", str: "text", bytes: "blob"}[type(value)]
    assert codec.text(codec.one(storage, value)) == sent


# Declared type and format of a uuid key, the form it takes, and others that would be the same key.
UUID_KEYS = {
    "usual": ("UUID", None, UUID, (UUID.upper(), HEX, bytes.fromhex(HEX))),
    "upper": ("TEXT", "upper", UUID.upper(), (UUID, HEX, bytes.fromhex(HEX))),
    "hex by its declaration": ("CHAR(32)", None, HEX, (UUID, HEX.upper(), bytes.fromhex(HEX))),
    "hex by the mapping": ("TEXT", "hex", HEX, (UUID, HEX.upper(), bytes.fromhex(HEX))),
    "bytes by their declaration": ("BLOB", None, bytes.fromhex(HEX), (UUID, HEX, HEX.upper())),
}


@pytest.mark.parametrize("form", UUID_KEYS)
def test_a_uuid_key_has_one_form(form: str) -> None:
    """Four spellings of a UUID are four keys in SQLite: in each format exactly one of them is taken."""
    declared, written, taken, others = UUID_KEYS[form]
    mapping = {"type": "uuid"} | ({"format": written} if written else {})
    codec = codec_for(_plan(declared, mapping, key="PRIMARY KEY"), key=True)
    for value in (taken, *others):
        storage: Any = "blob" if isinstance(value, bytes) else "text"
        if value == taken:
            assert codec.text(codec.one(storage, value)) == UUID
            assert list(codec.many([value])) == [bytes.fromhex(HEX)]
        else:
            with pytest.raises(ValueError, match="UUID"):
                codec.one(storage, value)


@pytest.mark.parametrize(
    ("declared", "type_sql"),
    [
        *[("INT8", "bigint"), ("FLOATING POINT", "bigint"), ('"VARCHAR(10"', "text"), ('"NVARCHAR(MAX)"', "text")],
        *[('"DECIMAL(10,5,3)"', "numeric"), ("DECIMAL(2000)", "numeric"), ("DECIMAL(2,10)", "numeric")],
        *[
            ('"DECIMAL(²)"', "numeric"),
            ("DECIMAL( 10 , 2 )", "numeric(10,2)"),
            ("DATETIME2(7)", "timestamp with time zone"),
        ],
        *[("FOO", "numeric"), ("MONEY", "numeric"), ("\"ENUM('a','b')\"", "numeric"), ('"odd "" type"', "numeric")],
        *[
            ("", "text"),
            ("UNIQUEIDENTIFIER", "text"),
            ("UNSIGNED BIG INT", "bigint"),
            ("varying character(255)", "text"),
        ],
    ],
)
def test_an_odd_declared_type_stops_nothing(declared: str, type_sql: str) -> None:
    """Each gets a type by SQLite's rules of affinity, or by what people mean by it; sizes only where they are sane."""
    assert _plan(declared, None).type_sql == type_sql


def test_an_odd_name_that_holds_text_becomes_text() -> None:
    """SQLite takes ENUM('a','b') for a number; where the column holds text, the data say so."""
    with closing(sqlite3.connect(":memory:")) as source:
        source.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, v ENUM, w ENUM, x ENUM)")
        classes = {
            ("t", "v"): frozenset({"text"}),
            ("t", "w"): frozenset({"integer", "real"}),
            ("t", "x"): frozenset({"blob"}),
        }
        (plan,) = table_plans(read_schema(source), Settings(), classes)
    assert [column.type_sql for column in plan.columns] == ["bigint", "text", "numeric", "bytea"]


def test_integers_are_narrow_on_request() -> None:
    """A login that wants int4 gets it; what does not fit is refused."""
    codec = codec_for(_plan("INTEGER", "integer"), key=False)
    assert codec.wire == "int4"
    with pytest.raises(ValueError, match="out of range for integer"):
        codec.one("integer", 2**31)


SENSELESS: dict[str, tuple[Any, str]] = {
    "format of a time on a number": ({"type": "bigint", "format": "epoch_s"}, 'write type = "timestamptz"'),
    "format of a UUID on a time": ({"type": "timestamptz", "format": "hex"}, 'write type = "uuid"'),
    "format of a time on a UUID": ({"type": "uuid", "format": "iso"}, "is how a time is written"),
    "epoch of a time of day": ({"type": "time", "format": "epoch_s"}, "is how a time is written"),
    "naive without a time": ({"type": "text", "naive": "utc"}, "no timestamp"),
    "policy for text on a number": ({"type": "bigint", "on_nul": "strip"}, "on_nul is about text"),
    "policy for decimals on text": ({"type": "text", "on_finer": "truncate"}, "on_finer is about decimals"),
    "identity of a text": ({"type": "text", "identity": True}, "identity = true needs an integer type"),
    "no length": ("varchar(0)", "sizes of character varying go from 1"),
    "a length in words": ("varchar(max)", "no name of a type"),
    "too precise a time": ("timestamptz(9)", "sizes of timestamp with time zone go from 0 to 6"),
    "too many digits": ("numeric(2000)", "sizes of numeric go from 1 to 1000"),
    "too many sizes": ("numeric(1,2,3)", "no name of a type"),
    "a size where none belongs": ("bigint(20)", "takes none"),
    "a statement": ("text); DROP TABLE x; --", "no name of a type"),
    "unfinished": ("numeric(10,2", "no name of a type"),
    "empty": ("", "no name of a type"),
}


@pytest.mark.parametrize("what", SENSELESS)
def test_a_mapping_that_makes_no_sense_names_its_place(what: str) -> None:
    """Table and column, what does not go together, and what to write."""
    mapping, why = SENSELESS[what]
    with pytest.raises(UsageError, match=r"^\[tables\.t\.columns\] v: ") as error:
        _plan("TEXT", mapping)
    assert why in str(error.value)


@pytest.mark.parametrize(("declared", "type_sql"), [("INTEGER", "timestamp with time zone"), ("DATE", "date")])
def test_a_format_alone_implies_its_type(declared: str, type_sql: str) -> None:
    """Whoever names only a format means a time, or a UUID; a column of days stays one."""
    assert _plan(declared, {"format": "epoch_s"}).type_sql == type_sql
    assert _plan(declared, {"format": "hex"}).type_sql == "uuid"


@pytest.mark.parametrize(
    ("mapped", "told"),
    [("timestampz", 'did you mean "timestamptz"'), ("nonsense", "no type nonsense"), ("int[]", "no rule for int[]")],
)
def test_config_check_tells_of_a_type_nobody_has(cli: Cli, mapped: str, told: str) -> None:
    """PostgreSQL is asked about names we do not know; its own answer is a usage error with table and column."""
    with closing(sqlite3.connect(cli.cwd / "app.db")) as source:
        source.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, v TEXT)")
    text = f'source = "app.db"\n[tables.t.columns]\nv = "{mapped}"\n'
    (cli.cwd / "cdcsync.toml").write_text(text)
    ended = cli("config", "check", expect=USAGE)
    assert "[tables.t.columns] v" in ended.err
    assert told in ended.err
