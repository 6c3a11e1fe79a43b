"""Random values, defaults, expressions and predicates of the kinds that tell SQLite's conversions apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.oracle_dice import Dice

LITERALS = ("NULL", "0", "1", "2", "3", "-1", "1.0", "2.5", "'1'", "'2'", "'1.0'", "'2.5'", "'a'", "'A'", "'b'", "'a '")
LITERALS += ("''", "'é'", "x'61'", "x'31'", "x''", "' 1'", "1e3", "9007199254740993")

DEFAULTS = ("1", "'1'", "1.0", "2", "'2'", "'a'", "'A'", "x'61'", "-1", "+1", "'1.0'", "2.5", "'2.5'", "0", "''")
DEFAULTS += ("(1 + 1)", "('a' || '')", "('1' || '')", "word", '"a"', "[a]", "TRUE", "false", "CURRENT_DATE", "NULL")
DEFAULTS += ("(lower('A'))", "(random() & 0)", "(abs(-1))", "(CAST(1 AS TEXT))", "0x1F", "'it''s'")

_OF_ONE = (
    *("lower({0})", "upper({0})", "coalesce({0}, 'a')", "coalesce({0}, 1)", "{0} + 1", "- {0}", "+ {0}", "{0} % 2"),
    *("{0} = 1", "{0} = '1'", "{0} == 'a'", "{0} <> '2'", "{0} < '2'", "{0} >= 2", "'2' > {0}", "NOT {0}", "~ {0}"),
    *("{0} IS NULL", "{0} IS NOT '1'", "{0} IS 1", "{0} IN (1, 'a')", "{0} NOT IN ('1', 2)", "{0} ISNULL"),
    *("{0} BETWEEN 0 AND '2'", "{0} BETWEEN '0' AND 2", "typeof({0})", "substr({0}, 1, 1)", "length({0})", "hex({0})"),
    *("CAST({0} AS TEXT)", "CAST({0} AS INTEGER)", "CAST({0} AS NUMERIC) = '1'", "CAST({0} AS BLOB)", "quote({0})"),
    *("CASE {0} WHEN '1' THEN 'one' WHEN 2 THEN 'two' ELSE {0} END", "CASE WHEN {0} = '1' THEN 5 ELSE {0} END"),
    *("{0} || ''", "{0} LIKE 'A%'", "{0} GLOB '[a1]*'", "({0})", "{0} COLLATE NOCASE = 'A'", "nullif({0}, '1')"),
    *("max({0}, '1')", "min({0}, 1, 'b')", "abs({0})", "round({0})", "trim({0})", "iif({0} = '1', 'x', {0})"),
    *("{0} << 1", "{0} /* why, ( */ || 'x' -- so\n", "instr('1a', {0})", "unicode({0})", "printf('%s', {0})"),
)
_OF_TWO = (
    *("{0} || {1}", "coalesce({0}, {1})", "{0} = {1}", "{0} < {1}", "{0} IS {1}", "ifnull({1}, {0})", "{0} + {1}"),
    *("CASE WHEN {1} = 1 THEN {0} END", "CASE {1} WHEN '1' THEN {0} END", "CASE {0} WHEN {1} THEN 1 ELSE {0} END"),
    *("{0} IN ({1}, '1')", "{0} BETWEEN {1} AND '2'", "nullif({0}, {1})", "max({0}, {1})", "{0} AND {1}", "{0} OR {1}"),
    *("iif({1}, {0}, NULL)", "({0} || '-' || {1})", "{0} * {1}", "{0} <= ({1})", "({0} COLLATE RTRIM) = {1}"),
    *("({0}, 1) = ({1}, '1')", "{0} & {1}", "lower({0}) || lower({1})", "'x' || {0} = {1} || 'x'"),
)

_PREDICATES = (
    *(
        "{0} = 1",
        "{0} = '1'",
        "{0} IS NOT NULL",
        "{0} IS NULL",
        "{0}",
        "NOT {0}",
        "{0} > 1",
        "{0} < 'b'",
        "{0} IN (1, 'a')",
    ),
    *("{0} <> '2'", "{0} IS NOT 2", "typeof({0}) <> 'blob'", "{0} > {1}", "{0} = {1}", "{0} AND {1} IS NOT 'b'"),
    *("{0} BETWEEN '0' AND 2", "length({0}) < 3", "{0} IS NOT {1}", "{0} OR {1} = 'a'"),
)


def of_type(strict: str) -> tuple[str, ...]:
    """Return values that a column of a STRICT table takes."""
    if strict == "ANY":
        return LITERALS
    kinds = {"TEXT": "'", "BLOB": "x"}
    if strict in kinds:
        return ("NULL", *(one for one in LITERALS if one[0] == kinds[strict]))
    return ("NULL", *(one for one in LITERALS if one.lstrip("-").isdigit() or (strict == "REAL" and one[0].isdigit())))


def default(dice: Dice) -> str:
    """Return what stands after DEFAULT."""
    return dice.pick(DEFAULTS)


def expression(dice: Dice, columns: Sequence[str]) -> str:
    """Return an expression an index or a generated column may be made of."""
    template = dice.pick(_OF_ONE if len(columns) == 1 or dice.chance(0.6) else _OF_TWO)
    text = template.format(dice.pick(columns), dice.pick(columns))
    if dice.chance(0.1):
        return dice.pick(_OF_ONE).format(f"({text})")
    return text


def predicate(dice: Dice, columns: Sequence[str]) -> str:
    """Return the condition of a partial index, a CHECK or a WHEN."""
    return dice.pick(_PREDICATES).format(dice.pick(columns), dice.pick(columns))
