"""Generated columns, which arrive as plain ones: what makes them generated again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.ddl.build import verbatim
from cdcsync.core.sqltext.refusal import UntranslatableError
from cdcsync.core.sqltext.translate import translate

if TYPE_CHECKING:
    from cdcsync.core.ddl.build import Build
    from cdcsync.core.ddl.moved import Moved
    from cdcsync.words.nouns import ColumnPlan

_GENERATED = sql.SQL("ALTER TABLE {} DROP COLUMN {}, ADD COLUMN {} {} GENERATED ALWAYS AS ({}) STORED")

_WHEN = "after the cutover, before the application writes"


def list_generated(build: Build, moved: Moved) -> None:
    """List the generated columns, each with the statement to run once rows come from PostgreSQL alone."""
    indexed = {part.name for index in moved.plan.table.indexes for part in index.columns}
    texts = {declaration.column: declaration.text for declaration in moved.of_kind("generated")}
    for column in moved.plan.columns:
        if moved.plan.table.column(column.source).generated:
            what = f"generated column {column.source}"
            suggestion = _suggestion(build, moved, column, texts.get(column.source, ""))
            again = "; its indexes have to be made again" if column.source in indexed else ""
            build.leave(moved, what, "it arrives as a plain column", suggestion + again, kind="generated")


def _suggestion(build: Build, moved: Moved, column: ColumnPlan, text: str) -> str:
    try:
        code = translate(text, moved.scope).code
    except UntranslatableError as error:
        words = "add it again with GENERATED ALWAYS AS (..) STORED in PostgreSQL's words"
        return f"{_WHEN}, {words}: {error}"
    name = sql.Identifier(column.target)
    statement = _GENERATED.format(build.relation(moved), name, name, verbatim(column.type_sql), code)
    return f"{_WHEN}: {statement.as_string()}"
