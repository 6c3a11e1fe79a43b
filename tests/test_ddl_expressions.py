"""Expressions mean in PostgreSQL what they mean in SQLite, or are refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from psycopg import sql
from support.ddl import on_both_sides, sample

from cdcsync.core.sqltext.refusal import UntranslatableError
from cdcsync.core.sqltext.translate import condition

if TYPE_CHECKING:
    import psycopg


ALIKE = r"""
t = 'abc'
t == "abc"
t = 5
n = 'ABC'
n IN ('ABC', 'x')
t = n
n = t
t COLLATE NOCASE = 'ABC'
n COLLATE BINARY IN ('abc', 'Abc')
t = n COLLATE NOCASE
lower(n) = 'ABC'
coalesce(n, 'x') = 'ABC'
n < 'b'
t < 'b'
t BETWEEN 'A' AND 'b'
v = 'abc'
v IN ('abc', '5')
t LIKE 'A%'
t LIKE '%\%'
t LIKE '%!_!%%' ESCAPE '!'
t LIKE n
t NOT LIKE 'a%'
t LIKE 'É%'
n LIKE '%@%.%'
i LIKE '5%'
t GLOB '[A-Z]*'
t GLOB '*[^a-z]*'
t GLOB 'a[]]b[\^]c*'
t GLOB 'a]b^c-d'
t GLOB '???'
t GLOB '*[_%\]*'
t GLOB 'line?break'
t NOT GLOB '[a-c]*'
length(t) = 3
length(i) = 1
length(x) = 1
length(trim(t)) > 0
i = '5'
i IN (1, 5, NULL)
i NOT IN (1, 5)
i NOTNULL
i IS j
i IS NOT 5
t IS NOT 'abc'
b
NOT b
b = 1
b == 0
b IN (0, 1)
b IN (0, 1, 2)
b IS NOT 1
b IS NOT TRUE
b > 0
b + 1 = 2
b = (i > 0)
b = i
i AND j
i OR b
r = 1.5
r > i
num > r
i / 2 = 2
i / j > 0
i % j = 1
i & 4 = 4
-i > 0
abs(r) > 1
d = '2024-01-02'
d > '2000-01-01'
ts <= ts2
ts2 >= ts OR ts IS NULL
date(ts) = d
e > 0
ms = 10500
e BETWEEN 0 AND 10
u = '0e37df36-f698-11e6-8dd4-cb9ced3df976'
x > x'60'
t = lower(t)
upper(t) = 'ÉÀZ'
t || i = 'abc5'
substr(t, 1, 1) = 'a'
trim(v) = 'abc'
rtrim(t, 'c') = 'ab'
instr(n, 'b') > 0
replace(t, 'b', '') = 'ac'
coalesce(i, j, 0) = 0
ifnull(b, 0)
nullif(n, 'ABC') IS NULL
CASE WHEN b THEN i ELSE j END > 2
CASE n WHEN 'ABC' THEN 1 ELSE 0 END = 1
CASE WHEN end > 3 THEN 1 ELSE 0 END
iif(i > 0, b, 0)
CAST(i AS TEXT) = '5'
(i IS NULL) + (j IS NULL) + (t IS NULL) = 0
(i IS NULL) = (j IS NULL)
[t] = `t`
s.i > 0 -- a comment
"end" > i
i > 0 AND t <> '' OR b
NOT (i > 0 AND j > 0)
i BETWEEN 1 AND 5 AND j BETWEEN 1 AND 3
i = 1e2 OR i = 0x64
typeof(t) = 'text'
typeof(i) IN ('integer', 'null')
NOT (js IS NULL OR json_valid(js))
hex(x) = 'FF'
length(u) = 36
nullif(n, 'ABC') = 'Abc'
i * 0.1 = 0.5
0.1 + 0.2 = 0.3
- -(0.1) < r
CASE WHEN b THEN 0.1 ELSE 1 END = 0.1
CASE WHEN i > 0 THEN NULL END IS NOT i
coalesce(nullif(NULL, 5), i) = 5
60 * 60 * 24 * 365 * 100 > i
b IN ('0', '1')
"""


def test_conditions_mean_the_same(postgres: psycopg.Connection) -> None:
    """Each condition is true, false and unknown for the same rows on both sides."""
    source, scope = on_both_sides(postgres)
    for text in ALIKE.strip().splitlines():
        there = [None if v is None else bool(v) for (v,) in source.execute(f"SELECT ({text}\n) + 0 FROM s ORDER BY k")]
        query = sql.SQL("SELECT {} FROM s ORDER BY k").format(condition(text, scope))
        assert (text, [value for (value,) in postgres.execute(query)]) == (text, there)
    source.close()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("typeof(num) = 'real'", "storage class"),
        ("typeof(coalesce(i, 0)) = 'integer'", "storage class"),
        ("json_valid(i)", "a spelling that does not arrive"),
        ("coalesce(t, 0) = 5", "is used as a number"),
        ("length(t) > '3'", "compared with the constant '3'"),
        ("coalesce(i, 0) = '5'", "compared with the constant '5'"),
        ("'ABC' IN (n)", "collation of its left side"),
        ("num + 1 > 3", "decimals in binary"),
        ("u <> '0E37DF36-F698-11E6-8DD4-CB9CED3DF976'", "has no case"),
        ("t GLOB '[z-a]'", "from the end to the beginning"),
        ("+i = '5'", "unary plus"),
        ("CASE WHEN b THEN 0.1 ELSE 1 END / 2 = 0", "decimals in binary"),
        ("CASE iif(t COLLATE NOCASE = 'a', t, n) WHEN 'A' THEN 1 END", "further"),
        ("r < 9e999", "beyond what PostgreSQL's numbers hold"),
        ("9223372036854775807 + 1 > i", "does not fit an integer"),
        ("js <> '[]'", "is compared with"),
        ("length(js) > 2", "js, which is jsonb in PostgreSQL, is used as text"),
        ("u LIKE '%-%'", "u, which is uuid in PostgreSQL, is used as text"),
        ("u <> ''", "'' is no UUID"),
        ("ts LIKE '____-%'", "ts, which is timestamp with time zone in PostgreSQL, is used as text"),
        ("ts <> ''", "is compared with the constant ''"),
        ("e >= ms", "is compared with"),
        ("i <> ''", "is compared with a text"),
        ("r % 2 = 1", "computes otherwise"),
        ("round(r, 1) = r", "no sure equivalent"),
        ("substr(t, -1) = 'c'", "counts from the end"),
        ("CAST(t AS INTEGER) = 0", "is used as a number"),
        ("t GLOB '[a'", "not closed"),
        ("t LIKE 'aXb' ESCAPE 'X'", "ESCAPE"),
        ("t COLLATE special = 'a'", "no collation"),
        ("(t || 'x' COLLATE NOCASE) = 'a'", "further"),
        ("i = j = 1", "parentheses"),
        ("rowid > 0", "no column that arrives"),
        ("json_extract(js, '$.a') = 1", "JSON"),
        ("i > ", "cannot be parsed"),
        ("(" * 400 + "i" + ")" * 400, "nested too deeply"),
    ],
)
def test_condition_that_is_not_carried(text: str, reason: str) -> None:
    """What is not sure to mean the same is refused with the reason."""
    source, _, scope = sample()
    source.close()
    with pytest.raises(UntranslatableError, match=re.escape(reason)):
        condition(text, scope)
