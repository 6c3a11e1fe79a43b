"""Any value under any mapping arrives as itself, by a stated rule, or is refused. `--values N` says how many."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from support import value_rules as rules
from support import value_times as times
from support.value_dice import Bytes, Value, twin, value
from support.value_road import Arrived, Held, Road, column_plan, held_as, unique_violations

from cdcsync.core.codecs import codec_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.postgres import Database

    Rule = Callable[[str, object, rules.Mapping, str], bool]

SEED = 20_241
BATCH = 2000

NUMBERS = ("int", "any int", "small int", "float", "any float", "decimal float", "decimal")
TEXTS = ("text", "long", "broken", "special")
TIMES = (
    "moment",
    "moment",
    "plain moment",
    "epoch day",
    "day",
    "clock",
    "epoch",
    "epoch float",
    "julian",
    "julian day",
)
BOTH = {"on_nul": "strip", "on_bad_utf8": "strip"}, {"on_nul": "escape", "on_bad_utf8": "escape"}
ONE = {"on_nul": "strip"}, {"on_bad_utf8": "escape"}

# Type -> its rule, kinds of values that suit it, and what a mapping can say beside it.
RULES: dict[str, tuple[Rule, tuple[str, ...], tuple[rules.Mapping, ...]]] = {
    "bigint": (rules.integer, NUMBERS, ()),
    "integer": (rules.integer, NUMBERS, ()),
    "smallint": (rules.integer, NUMBERS, ()),
    "double precision": (rules.double, NUMBERS, ()),
    "real": (rules.single, NUMBERS, ()),
    "numeric": (rules.numeric, NUMBERS, ()),
    "numeric(9,3)": (rules.numeric, NUMBERS, ()),
    "numeric(5,2)": (rules.numeric, NUMBERS, ()),
    "boolean": (rules.boolean, ("small int", "special"), ()),
    "text": (rules.text, TEXTS, (*BOTH, *ONE)),
    "varchar(8)": (rules.text, TEXTS, BOTH),
    "char(6)": (rules.text, TEXTS, ()),
    "citext": (rules.text, TEXTS, BOTH),
    "public.mood": (rules.text, ("mood",), ()),
    "bytea": (rules.bytea, ("blob", "blob of text"), ()),
    "uuid": (rules.uuid, ("uuid",), ({"format": "hex"}, {"format": "upper"}, {"format": "blob"})),
    "json": (rules.json_text, ("json", "broken", "special"), BOTH),
    "jsonb": (rules.jsonb, ("json", "broken", "special"), (*BOTH, *ONE)),
    "timestamptz": (times.timestamp, TIMES, (
        {"naive": "refuse"}, {"on_finer": "truncate"}, {"format": "epoch_s"}, {"format": "epoch_ms"},
        {"format": "epoch_us"}, {"format": "julian"}, {"format": "epoch_s", "on_finer": "truncate"})),
    "timestamptz(3)": (times.timestamp, TIMES, ({"format": "epoch_ms"}, {"on_finer": "truncate"})),
    "timestamp": (times.timestamp, TIMES, ({"format": "epoch_ms"}, {"on_finer": "truncate"})),
    "date": (times.date, TIMES, ({"format": "epoch_s"}, {"format": "julian"})),
    "time": (times.time, ("clock", "moment"), ({"on_finer": "truncate"},)),
    "time(0)": (times.time, ("clock",), ({"on_finer": "truncate"},)),
    "interval": (rules.interval, NUMBERS, ()),
    "inet": (rules.network, ("address",), ()),
    "cidr": (rules.network, ("address",), ()),
}  # fmt: skip
CASES = [
    pytest.param({"type": type_sql, **beside}, key, id="-".join([type_sql, *beside.values(), *["key"] * key]))
    for type_sql, (_, _, besides) in RULES.items()
    for beside in ({}, *besides)
    for key in (False, True)
    if not (key and type_sql == "json")
]


def _values(dice: random.Random, kinds: tuple[str, ...], count: int) -> Iterator[Value]:
    """Return values; every third comes with something that looks like it."""
    while count > 0:
        made = value(dice, kinds)
        yield made
        count -= 1
        if count and dice.random() < 0.3:
            yield twin(dice, made)
            count -= 1


def _takes_no_key(mapping: rules.Mapping) -> bool:
    """Two keys may be equal to these types; a key is a time without an offset; a whole julian day begins at noon."""
    of_types = {"json", "jsonb", "citext", "public.mood"}
    return mapping["type"] in of_types or "naive" in mapping or mapping == {"type": "date", "format": "julian"}


@pytest.fixture(scope="module")
def types(shared_database: Database) -> None:
    """Types of the user's own."""
    with shared_database.server.admin(shared_database.name) as admin:
        admin.execute(b"CREATE EXTENSION IF NOT EXISTS citext")
        admin.execute(b"CREATE TYPE public.mood AS ENUM ('sad', 'ok')")


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize(("mapping", "key"), CASES)
def test_a_value_arrives_by_the_rule_of_its_type_or_is_refused(
    tmp_path: Path, shared_database: Database, values: int, mapping: rules.Mapping, *, key: bool
) -> None:
    """By COPY and by parameters alike, PostgreSQL shows what the rule of the type allows, and keys stay apart."""
    rule, kinds, _ = RULES[mapping["type"]]
    name = "-".join([*mapping.values(), str(key)])
    dice = random.Random(f"{SEED} {name}")
    left, taken, refusals = values // len(CASES), 0, 0
    with Road(tmp_path, shared_database, mapping, key=key) as road:
        while left > 0:
            arrived = road.pass_through(_values(dice, kinds, min(BATCH, left)))
            left -= BATCH
            wrong = [held for held, shown in _pairs(arrived) if not _is_same(rule, held, mapping, shown)]
            assert not wrong, wrong[:5]
            # Without the refused ones, and class by class, whole pages are converted at once.
            pairs = sorted(_pairs(arrived), key=lambda pair: pair[0][0])
            again = road.pass_through(Bytes(v) if storage == "text" else v for (storage, v), _ in pairs)
            assert _pairs(again) == pairs
            assert not again.errors
            taken += sum(shown is not None for _, shown in pairs)
            refusals += len(arrived.refused)
    assert (taken > 0) != (key and _takes_no_key(mapping))
    print(f"{name}: {taken} arrived, {refusals} refused")  # noqa: T201  seen with -s


@pytest.mark.parametrize(("mapping", "key"), CASES)
def test_a_page_at_once_is_no_more_lenient_than_a_value_alone(
    values: int, mapping: rules.Mapping, *, key: bool
) -> None:
    """A page of one value, and of it twice, is converted to what the value alone is, or left to a closer look."""
    kinds = RULES[mapping["type"]][1]
    dice = random.Random(f"{SEED} {mapping} {key} alone")
    codec = codec_for(column_plan(mapping), key=key)
    for made in _values(dice, kinds, values // len(CASES)):
        storage, content = held_as(made)
        if storage == "text" and isinstance(content, bytes):
            # Such a text fails the fetch, and never comes in a page.
            continue
        try:
            at_once = codec.many([content, content][: dice.choice([1, 2])])
        except (ValueError, ArithmeticError):
            continue
        assert set(at_once) == {codec.one(storage, content)}, made


def _pairs(arrived: Arrived) -> list[tuple[Held, str | None]]:
    """Return what is held and what is shown for each row that arrived, which both roads must agree on."""
    assert arrived.copied == arrived.sent
    assert unique_violations(arrived) == 0
    assert arrived.held.keys() == arrived.copied.keys() | arrived.refused
    return [(arrived.held[number], shown) for number, shown in sorted(arrived.copied.items())]


def _is_same(rule: Rule, held: Held, mapping: rules.Mapping, shown: str | None) -> bool:
    storage, content = held
    return (shown is None) == (storage == "null") and (shown is None or rule(storage, content, mapping, shown))
