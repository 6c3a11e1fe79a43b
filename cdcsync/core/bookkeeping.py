"""Tables in which migration tools note the steps a database has seen: each side of a move has its own."""

from __future__ import annotations

_NAMES = frozenset(
    """
    __diesel_schema_migrations __drizzle_migrations __efmigrationshistory _prisma_migrations _sqlx_migrations
    aerich alembic_version applied_module_schemas applied_schema_deltas ar_internal_metadata atlas_schema_revisions
    databasechangelog databasechangeloglock django_migrations doctrine_migration_versions flyway_schema_history
    goose_db_version gorp_migrations knex_migrations knex_migrations_lock migratehistory migration_log migrations
    mikro_orm_migrations phinxlog refinery_schema_history schema_compat_version schema_migrations
    schema_migrations_lock schema_version seaql_migrations sequelizemeta typeorm_metadata
    """.split()  # noqa: SIM905  a table of words
)


def is_bookkeeping(table: str) -> bool:
    """Tell whether migration tools keep their own notes under this name."""
    return table.lower() in _NAMES
