"""Names in PostgreSQL for those that cannot be kept as they are, or need not be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from cdcsync.core.ddl.names import Names
from cdcsync.words.nouns import TablePlan
from cdcsync.words.settings import ColumnMapping, Settings

NAME_BYTES = 63
"""PostgreSQL cuts longer names without a word."""

SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
"""Every table of PostgreSQL has these."""

Spelling = Callable[[str], str]

_FOLDED = str.maketrans({letter: letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"})


@dataclass(frozen=True, slots=True)
class Renaming:
    """A name proposed for the target, and why it is not the source's."""

    target: str
    why: str


Renamings = Mapping[tuple[str, str | None], Renaming]
"""(table, column), or (table, None) for the table itself -> its proposed name."""


def kept(name: str) -> str:
    """Spell a name as it is."""
    return name


def folded(name: str) -> str:
    """Spell a name as PostgreSQL does where it is not quoted: only A to Z have a lower case to it."""
    return name.translate(_FOLDED)


def renamings(plans: Sequence[TablePlan], settings: Settings, spelled: Spelling) -> Renamings:
    """Return proposals for the names that `spelled` changes, that are too long, or that PostgreSQL keeps for itself.

    A target named in the mapping stands, and no other name becomes the same.
    """
    told = {plan.name: settings.table(plan.name) for plan in plans}
    tables = {plan.name: told[plan.name].target for plan in plans}
    found: dict[tuple[str, str | None], Renaming] = {
        (table, None): renaming for table, renaming in _proposed(tables, spelled, frozenset()).items()
    }
    for plan in plans:
        columns = {c.source: told[plan.name].columns.get(c.source, ColumnMapping()).target for c in plan.columns}
        for column, renaming in _proposed(columns, spelled, SYSTEM_COLUMNS).items():
            found[plan.name, column] = renaming
    return found


def renamed(plans: Sequence[TablePlan], names: Renamings) -> tuple[TablePlan, ...]:
    """Return the plans with the proposed names in them."""
    return tuple(
        replace(
            plan,
            target=_target(names, plan.name, None, plan.target),
            columns=tuple(replace(c, target=_target(names, plan.name, c.source, c.target)) for c in plan.columns),
        )
        for plan in plans
    )


def _target(names: Renamings, table: str, column: str | None, unless: str) -> str:
    renaming = names.get((table, column))
    return unless if renaming is None else renaming.target


def _proposed(targets: Mapping[str, str | None], spelled: Spelling, reserved: frozenset[str]) -> dict[str, Renaming]:
    """Propose names inside one table, or for all tables. `targets`: name in the source -> target it was given."""
    given = [target for target in targets.values() if target is not None]
    names = Names([*reserved, *given])
    free = [name for name, target in targets.items() if target is None]
    # Those that stay come first: a new name makes way for an old one.
    fits = [name for name in free if spelled(name) == name and len(name.encode()) <= NAME_BYTES]
    stay = [name for name in fits if name not in names.taken]
    names.taken.update(stay)
    return {name: _renaming(spelled(name), names, reserved) for name in free if name not in stay}


def _renaming(wanted: str, names: Names, reserved: frozenset[str]) -> Renaming:
    target = names.pick(wanted)
    if target == wanted:
        return Renaming(target, "in lower case")
    if wanted in reserved:
        return Renaming(target, f"every table of PostgreSQL has a system column {wanted}")
    if len(wanted.encode()) > NAME_BYTES:
        return Renaming(target, f"PostgreSQL keeps {NAME_BYTES} bytes of a name")
    return Renaming(target, f"another one is called {wanted} already")
