"""What the tables of a target are: constraints, indexes, columns and triggers, as PostgreSQL's catalog tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.pair import Pair

CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2
"""
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default, identity_generation
FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position
"""
# When each fires, too; the guard is ours.
TRIGGERS = """
SELECT tgrelid::regclass::text, tgname, tgenabled::text, pg_get_triggerdef(oid) FROM pg_trigger
WHERE NOT tgisinternal AND tgname <> '_cdcsync_guard' ORDER BY 1, 2
"""


def shape_of(pair: Pair) -> list[object]:
    """Return what the tables are, whether or not PostgreSQL has checked their foreign keys."""
    constraints = [(table, name, text.removesuffix(" NOT VALID")) for table, name, text, _ in pair.target(CONSTRAINTS)]
    return [constraints, *(pair.target(query) for query in (INDEXES, COLUMNS, TRIGGERS))]
