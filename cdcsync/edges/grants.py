"""What the application's role may do with the tables it is handed, and who else gets them."""

from __future__ import annotations

from cdcsync.edges.target import Target

_FILE = "grants.sql"


def missing_grants(target: Target, schema: str, tables: list[str], role: str) -> list[str] | None:
    """Return the GRANT statements a role still needs; None where there is no such role."""
    if not target.ask(_FILE, "role_exists", role=role)[0]:
        return None
    return [row[0] for row in target.rows(_FILE, "missing", schema=schema, tables=tables, role=role)]


def standbys(target: Target) -> tuple[int, int]:
    """Return how many standbys there are, and how many of them a commit waits for."""
    total, synchronous = target.ask(_FILE, "standbys")
    return int(total), int(synchronous)
