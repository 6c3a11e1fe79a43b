"""Alembic as its users run it: revisions, an env.py, `upgrade head`, tables rebuilt by batch mode.

`python -m support.migrations_alembic FILE STEPS MODE`. MODE `default`: as pysqlite does it, CREATE TABLE commits at
once and a transaction begins with the first row that is written. MODE `one transaction`: each migration is one, as
SQLAlchemy's recipe for pysqlite has it.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import command, op
from alembic.config import Config

from support.migrations_tool import copy_slowly, serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from alembic.operations import BatchOperations

ENVIRONMENT = """
from alembic import context

given = context.config.attributes
with given["engine"].connect() as connection:
    context.configure(connection=connection, **given["options"])
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """
from alembic import context

revision = "{revision}"
down_revision = {before!r}


def upgrade() -> None:
    context.config.attributes["steps"]["{step}"]()
"""
ONE_TRANSACTION = {"transactional_ddl": True, "transaction_per_migration": True}
TABLES = """
CREATE TABLE account (
    id INTEGER NOT NULL PRIMARY KEY, token TEXT NOT NULL, nick VARCHAR(20), score INTEGER, note TEXT, created DATETIME,
    CONSTRAINT uq_account_token UNIQUE (token)
);
CREATE TABLE entry (
    id INTEGER NOT NULL PRIMARY KEY, account_id INTEGER NOT NULL, token TEXT NOT NULL, amount NUMERIC(10, 2),
    CONSTRAINT fk_entry_account FOREIGN KEY (account_id) REFERENCES account (id) ON DELETE CASCADE
);
"""


def _batch(table: str, change: Callable[[BatchOperations], Any]) -> Callable[[], None]:
    def upgrade() -> None:
        with op.batch_alter_table(table, recreate="always") as batch:
            change(batch)

    return upgrade


def _slow_rebuild() -> None:
    sa.event.listen(op.get_bind(), "before_cursor_execute", lambda _1, _2, statement, *_: copy_slowly(statement))
    STEPS["rebuild"]()


def _tables() -> None:
    for statement in filter(str.strip, TABLES.split(";")):
        op.execute(statement)


STEPS: dict[str, Callable[[], Any]] = {
    "tables": _tables,
    "add column": _batch(
        "account", lambda batch: batch.add_column(sa.Column("rank", sa.Integer, nullable=False, server_default="7"))
    ),
    "add column to entry": _batch(
        "entry", lambda batch: batch.add_column(sa.Column("kind", sa.String(10), server_default="plain"))
    ),
    "not null": _batch(
        "account", lambda batch: batch.alter_column("nick", existing_type=sa.String(20), nullable=False)
    ),
    "longer": _batch(
        "account", lambda batch: batch.alter_column("nick", existing_type=sa.String(20), type_=sa.String(50))
    ),
    "add unique": _batch("account", lambda batch: batch.create_unique_constraint("uq_account_nick", ["nick"])),
    "drop unique": _batch("account", lambda batch: batch.drop_constraint("uq_account_nick", type_="unique")),
    "add index": _batch("account", lambda batch: batch.create_index("ix_account_score", ["score"])),
    "drop index": _batch("account", lambda batch: batch.drop_index("ix_account_score")),
    "add check": _batch("account", lambda batch: batch.create_check_constraint("ck_account_rank", "rank >= 0")),
    "rename column": _batch("account", lambda batch: batch.alter_column("note", new_column_name="remark")),
    "drop column": _batch("account", lambda batch: batch.drop_column("score")),
    "rebuild": _batch("account", lambda _batch: None),
    "slow rebuild": _slow_rebuild,
    "rebuild entry": _batch("entry", lambda _batch: None),
    "another type": _batch(
        "account", lambda batch: batch.alter_column("score", existing_type=sa.Integer, type_=sa.Text)
    ),
    "rename table": lambda: op.rename_table("entry", "journal"),
    "drop table": lambda: op.drop_table("entry"),
}


def _engine(path: str, *, one_transaction: bool) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool, connect_args={"timeout": 30})
    if one_transaction:
        # The recipe of SQLAlchemy's manual; IMMEDIATE, or what Alembic reads first is too old when it begins to write.
        @sa.event.listens_for(engine, "connect")
        def _let_the_driver_begin_nothing(connection: sqlite3.Connection, _record: object) -> None:
            connection.isolation_level = None

        @sa.event.listens_for(engine, "begin")
        def _begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def main(path: str, commands: Path, mode: str) -> None:
    """Answer steps by new revisions."""
    folder = commands.with_suffix("")
    versions = folder / "versions"
    versions.mkdir(parents=True)
    (folder / "env.py").write_text(ENVIRONMENT)
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    config.attributes["engine"] = _engine(path, one_transaction=mode == "one transaction")
    config.attributes["options"] = ONE_TRANSACTION if mode == "one transaction" else {}
    config.attributes["steps"] = STEPS

    def run(step: str) -> None:
        number = len(list(versions.glob("*.py")))
        revision = versions / f"{number:04}.py"
        before = f"{number - 1:04}" if number else None
        revision.write_text(REVISION.format(revision=revision.stem, before=before, step=step))
        try:
            command.upgrade(config, "head")
        except BaseException:
            revision.unlink()
            raise

    serve(commands, run)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
