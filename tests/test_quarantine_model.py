"""Random histories beside a model: the target holds what can arrive, quarantine what cannot, and nothing is lost."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

SCHEMA = "CREATE TABLE t (a TEXT, b, n, v TEXT, PRIMARY KEY (a, b)); CREATE TABLE k (n, v TEXT)"
MAPPED: dict[str, Any] = {
    name: {"columns": {"n": "integer", "v": {"type": "text", "check": "v <> 'refused'"}}} for name in ("t", "k")
}
MAPPED["t"]["columns"]["b"] = "integer"
KEYS = ("x", "y", None)
PARTS = (1, 2, 3, "bad", None, 2.5)
NUMBERS = (1, 2, None, "bad", 2**40)
TEXTS = ("v", "w", None, "refused", "a\0b")


def _can_arrive(n: object, v: object) -> bool:
    return not isinstance(n, str) and n != 2**40 and v not in {"refused", "a\0b"}


def _statement(dice: random.Random) -> tuple[str, tuple[object, ...]]:
    key, part = dice.choice(KEYS), dice.choice(PARTS)
    values = (dice.choice(NUMBERS), dice.choice(TEXTS))
    return dice.choice(
        [
            ("INSERT OR IGNORE INTO t VALUES (?, ?, ?, ?)", (key, part, *values)),
            ("REPLACE INTO t VALUES (?, ?, ?, ?)", (key, part, *values)),
            ("UPDATE t SET n = ?, v = ? WHERE a IS ? AND b IS ?", (*values, key, part)),
            ("UPDATE OR REPLACE t SET a = ?, b = ? WHERE b IS ?", (key, part, dice.choice(PARTS))),
            ("DELETE FROM t WHERE a IS ? AND b IS ?", (key, part)),
            ("INSERT INTO k VALUES (?, ?)", values),
            ("DELETE FROM k WHERE n IS ?", (dice.choice(NUMBERS),)),
        ]
    )


def _check(pair: Pair) -> None:
    rows = pair.source("SELECT * FROM t")
    fit = [r for r in rows if r[0] is not None and type(r[1]) is int and _can_arrive(*r[2:])]
    keyless = [r for r in pair.source("SELECT * FROM k") if _can_arrive(*r)]
    assert sorted(pair.target("SELECT * FROM t"), key=repr) == sorted(fit, key=repr)
    assert sorted(pair.target("SELECT * FROM k"), key=repr) == sorted(keyless, key=repr)
    report = pair.verify()
    assert report.equal, report.shown
    assert report.tables["t"].quarantined == len(rows) - len(fit)
    assert report.tables["k"].quarantined == len(pair.source("SELECT 1 FROM k")) - len(keyless)


@pytest.mark.parametrize("seed", range(6))
def test_random_histories_of_good_and_bad_rows_end_as_the_model_says(make_pair: Make, seed: int) -> None:
    """Copied, streamed in whole and in split cycles, repaired and tried again."""
    dice = random.Random(seed)
    sizes = {"apply_max_keys": dice.choice([1, 3, 100]), "copy_commit_rows": dice.choice([2, 9])}
    pair = make_pair(SCHEMA, tables=MAPPED, **sizes)
    for round_number in range(8):
        pair.application.execute("BEGIN")
        for _ in range(dice.choice([1, 5, 30])):
            pair.application.execute(*_statement(dice))
        pair.application.execute("COMMIT")
        if round_number == 0:
            pair.install()
        elif dice.random() < 0.2:
            pair.force("DELETE FROM t WHERE b = 1")
            pair.sync()
            pair.repair()
        elif dice.random() < 0.2:
            pair.retry()
        pair.sync()
        _check(pair)
