"""The oracle: random histories on two databases that are the same but for our triggers.

After each statement every key whose row changed must be in the changelog, and the statement's outcome must be the same
on both: rows, result, error, changes() and last_insert_rowid(). Nothing here looks at how the triggers work.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

from support.oracle_dice import Dice
from support.oracle_schema import Schema, random_schema
from support.oracle_sides import HistoryEndsError, Plan, RefusedSchemaError, Side, Snapshot
from support.oracle_statements import random_history

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STATEMENTS = 30
SHARING = 5
"""Histories on one schema: making one costs as much as playing one."""


@dataclass
class Tally:
    """What was played so far."""

    histories: int = 0
    statements: int = 0
    failed: int = 0
    """Statements that SQLite refused on both sides."""
    changed: int = 0
    """Keys whose row a statement changed."""
    refused: int = 0
    """Histories on a schema that `check` refuses; they count for nothing."""
    swapped: int = 0
    """Statements that SQLite answers differently as soon as tables have any triggers: see triggers/README.md."""

    def __str__(self) -> str:
        """Say it in a line."""
        return (
            f"{self.histories} histories, {self.statements} statements ({self.failed} refused by SQLite), "
            f"{self.changed} changed keys, 3/n {3 / max(self.histories, 1):.1e}; "
            f"{self.swapped} answers that any triggers change; {self.refused} more on schemas that check refuses"
        )


@dataclass
class Game:
    """One history: how to make the databases, and what to do to them."""

    schema: Schema
    statements: list[str]
    mapped_keys: bool = False
    """Whether tables are captured by another key than their first choice, as a mapping may name one."""

    @classmethod
    def of(cls, seed: int) -> Self:
        """Return the history of a seed."""
        schema, mapped_keys = _schema_of(seed // SHARING)
        return cls(schema, random_history(Dice(f"history {seed}"), schema, STATEMENTS), mapped_keys)

    def __str__(self) -> str:
        """Return it as SQL."""
        schema = "\n".join(f"{text};" for text in self.schema.sql)
        mapped = "-- captured by another unique key\n" if self.mapped_keys else ""
        return f"{schema}\n{mapped}-- history\n" + "\n".join(f"{text};" for text in self.statements)


@lru_cache(maxsize=1)
def _schema_of(seed: int) -> tuple[Schema, bool]:
    dice = Dice(f"schema {seed}")
    return random_schema(dice), dice.chance(0.15)


class Match:
    """The captured database beside its twin, statement by statement."""

    def __init__(self, plan: Plan, tally: Tally) -> None:
        """Make both."""
        self._plan, self._tally = plan, tally
        self.captured, self._twin = Side(plan, "captured"), Side(plan, "bare")
        self._played: list[str] = []
        self._before: Snapshot = []
        self._head = 0

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close both."""
        self.captured.close()
        self._twin.close()

    def step(self, text: str) -> str | None:
        """Run a statement on both sides; return what went wrong, if anything did."""
        self._played.append(text)
        was_open = self.captured.connection.in_transaction
        expected, seen = self._twin.run(text), self.captured.run(text)
        outcome, after = seen
        before, self._before = self._before, after
        head, self._head = self._head, after.pop()[1]
        self._tally.statements += 1
        self._tally.failed += isinstance(outcome, str)
        if seen != expected and not self._any_trigger_does(seen):
            return f"different after {text}\n  with triggers:    {seen}\n  without triggers: {expected}"
        # A rollback takes rows and entries back together.
        ended = was_open and not self.captured.connection.in_transaction
        if after[1:] == before[1:] or ended or text.startswith("ROLLBACK"):
            return None
        changed = {row[:2] for row in set(before[1:]) ^ set(after[1:])}
        self._tally.changed += len(changed)
        if missed := changed - self.captured.entries(head):
            return f"missed {sorted(missed)} by {text}\n  before: {before}\n  after:  {after}"
        return None

    def _any_trigger_does(self, seen: tuple[object, Snapshot]) -> bool:
        """Tell whether any triggers at all would have done this: the rest is then compared with such.

        Raises HistoryEndsError where only the twin let a row pass that breaks a foreign key: in tables that refer to
        themselves SQLite overlooks some, and which depends on the triggers.
        """
        overlooked = "FOREIGN KEY" in str(seen[0]) and self._twin.breaks_foreign_keys()
        self._twin.close()
        self._twin = Side(self._plan, "neutral")
        self._tally.swapped += 1
        is_same = [self._twin.run(text) for text in self._played][-1] == seen
        if overlooked and not is_same:
            raise HistoryEndsError
        return is_same


def play(game: Game, plan: Plan, tally: Tally) -> str | None:
    """Play a history; return what went wrong first."""
    with Match(plan, tally) as match, suppress(HistoryEndsError):
        return next((found for text in game.statements if (found := match.step(text)) is not None), None)
    return None


class Watched:
    """A database for tests that name their statements: each is run on both sides, and held against both."""

    def __init__(self, *schema: str, mapped_keys: bool = False) -> None:
        """Make and capture it. Raises RefusedSchemaError where capture is refused."""
        made = Schema([[text] for text in schema], [])
        self._tally = Tally()
        self._match = Match(Plan(made, mapped_keys=mapped_keys), self._tally)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._match.__exit__()

    def run(self, *statements: str) -> None:
        """Run statements; every key whose row one changes must be in the changelog, and nothing else be different."""
        for text in statements:
            found = self._match.step(text)
            assert found is None, found

    def script(self, text: str) -> None:
        """Run a statement after which the two cannot be compared any more."""
        self._match.captured.connection.execute(text)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return rows of the captured database."""
        return self._match.captured.connection.execute(query).fetchall()

    def swapped(self) -> int:
        """Return how many statements any triggers would have answered differently."""
        return self._tally.swapped

    def entries(self) -> int:
        """Return the number of entries in the changelog."""
        return int(self.rows("SELECT count(*) FROM _cdcsync_log")[0][0])


def failures(seeds: Iterable[int], tally: Tally) -> Iterator[tuple[int, Game]]:
    """Play the histories of all seeds; yield those that go wrong."""
    for seed in seeds:
        game = Game.of(seed)
        try:
            found = play(game, _plan_of(game), tally)
        except RefusedSchemaError:
            tally.refused += 1
            continue
        tally.histories += 1
        if found is not None:
            yield seed, game


def play_all(seeds: Iterable[int]) -> Tally:
    """Play the histories of all seeds. Raises AssertionError with the shortest history that fails as the first did."""
    tally = Tally()
    for seed, game in failures(seeds, tally):
        smaller = shortened(game)
        message = f"seed {seed}: {play(smaller, _plan_of(smaller), Tally())}\n{smaller}"
        raise AssertionError(message)
    return tally


@lru_cache(maxsize=1)
def _plan_of_schema(schema: Schema, mapped_keys: bool) -> Plan | None:  # noqa: FBT001  a key of the cache
    with suppress(RefusedSchemaError):
        return Plan(schema, mapped_keys=mapped_keys)
    return None


def _plan_of(game: Game) -> Plan:
    """Return the plan of a schema, made once for the histories that share it."""
    plan = _plan_of_schema(game.schema, game.mapped_keys)
    if plan is None:
        raise RefusedSchemaError
    return plan


def forget() -> None:
    """Forget the triggers rendered so far, which others have replaced meanwhile."""
    _plan_of_schema.cache_clear()


def shortened(game: Game) -> Game:
    """Return the smallest history that still goes wrong in the same way."""
    kind = _kind(game)
    while (smaller := next((one for one in _smaller(game) if _kind(one) == kind), None)) is not None:
        game = smaller
    return game


def _kind(game: Game) -> str | None:
    try:
        found = play(game, _plan_of(game), Tally())
    except (RefusedSchemaError, sqlite3.Error):
        return None
    return None if found is None else found.split(" ", 1)[0]


def _smaller(game: Game) -> Iterator[Game]:
    for size in (16, 8, 4, 2, 1):
        for place in range(0, len(game.statements), size):
            left = game.statements[:place] + game.statements[place + size :]
            yield Game(game.schema, left, game.mapped_keys)
    texts = game.schema.statements
    for place, parts in enumerate(texts):
        yield _reduced(game, [*texts[:place], *texts[place + 1 :]])
        for part in range(1, len(parts) - 1 if len(parts) > 3 else 0):
            yield _reduced(game, [*texts[:place], [*parts[:part], *parts[part + 1 :]], *texts[place + 1 :]])


def _reduced(game: Game, statements: list[list[str]]) -> Game:
    schema = replace(game.schema, statements=statements)
    return Game(schema, game.statements, game.mapped_keys)
