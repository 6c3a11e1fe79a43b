"""Keys that SQLite tells apart, by value or storage class alone, never become equal in PostgreSQL."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from psycopg import sql
from support.value_dice import twin, value
from support.value_road import column_plan, held_as

from cdcsync.core.codecs import Sent, codec_for
from cdcsync.edges.target import Target
from cdcsync.edges.writer import copy_rows
from cdcsync.words.nouns import ColumnPlan

if TYPE_CHECKING:
    from support.postgres import Database
    from support.value_dice import Value
    from support.value_rules import Mapping

TIMES = ("plain moment", "moment", "day", "clock", "epoch", "epoch day", "julian day")
NUMBERS = ("int", "any int", "small int", "float", "any float", "decimal float")
# Type -> kinds of values that suit it. The types that may take no key at all are not here.
SUITED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("bigint", "integer", "smallint", "numeric", "numeric(9,3)", "interval"), NUMBERS),
    **dict.fromkeys(("double precision", "real", "boolean"), NUMBERS),
    **dict.fromkeys(("text", "varchar(8)", "char(6)"), ("text", "special", "broken")),
    **dict.fromkeys(("timestamptz", "timestamptz(3)", "timestamp", "date", "time"), TIMES),
    "bytea": ("blob", "blob of text"),
    "uuid": ("uuid",),
    "inet": ("address",),
    "cidr": ("address",),
}
SAID: tuple[Mapping, ...] = (
    *({"type": "uuid", "format": form} for form in ("upper", "hex", "blob")),
    *({"type": "timestamptz", "format": form} for form in ("epoch_s", "epoch_ms", "epoch_us", "julian")),
    {"type": "date", "format": "epoch_s"},
    {"type": "timestamptz(0)", "on_finer": "truncate"},
    {"type": "text", "on_nul": "strip", "on_bad_utf8": "strip"},
    {"type": "text", "on_nul": "escape", "on_bad_utf8": "escape"},
)
CASES = [pytest.param(said, id="-".join(said.values())) for said in (*({"type": name} for name in SUITED), *SAID)]


def _keys(dice: random.Random, kinds: tuple[str, ...], count: int) -> list[Value]:
    """Return values, each with two that look like it."""
    made = [value(dice, kinds) for _ in range(count // 3)]
    return [key for first in made for key in (first, twin(dice, first), twin(dice, twin(dice, first)))]


@pytest.mark.parametrize("mapping", CASES)
def test_two_keys_are_never_equal_to_their_type(shared_database: Database, values: int, mapping: Mapping) -> None:
    """All that a codec accepts in a key is sent, and PostgreSQL's own equality finds no pair among it."""
    plan = column_plan(mapping)
    codec, number = codec_for(plan, key=True), codec_for(ColumnPlan("n", "n", "integer"), key=False)
    dice = random.Random(f"{mapping}")
    # A dict knows -0.0 from 0.0 no more than SQLite does.
    sent: dict[object, Sent] = {}
    for held in map(held_as, _keys(dice, SUITED[mapping["type"].replace("(0)", "")], values // 50)):
        try:
            sent[held] = codec.one(*held)
        except (ValueError, ArithmeticError):
            continue
    sent.pop(("null", None), None)
    assert len(sent) > 1
    with Target(shared_database.conninfo()) as target:
        target.connection.execute(f"CREATE TEMPORARY TABLE v (n int, v {plan.type_sql})".encode())
        names: dict[str, sql.Composable] = {"table": sql.SQL("v"), "columns": sql.SQL("n, v")}
        copy_rows(target, names, [number, codec], [list(enumerate(sent.values()))])
        query = "SELECT a.n, b.n FROM v AS a JOIN v AS b ON a.v = b.v AND a.n < b.n"
        held_keys = list(sent)
        equal = target.connection.execute(query).fetchall()
    assert [(held_keys[one], held_keys[other]) for one, other in equal] == []
