"""Django's schema editor as `migrate` runs it: one atomic migration a step, recorded in django_migrations.

`python -m support.migrations_django FILE STEPS MODE`: MODE is how its transactions begin, DEFERRED or IMMEDIATE.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings
from django.db import connection, models
from django.db.migrations import (
    AddConstraint,
    AddField,
    AddIndex,
    AlterField,
    AlterModelTable,
    AlterUniqueTogether,
    CreateModel,
    Migration,
    RemoveConstraint,
    RemoveField,
    RenameField,
    RenameModel,
)
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations.base import Operation

from support.migrations_tool import copy_slowly, serve

if TYPE_CHECKING:
    from collections.abc import Callable

APP = "bank"
SLOW = "slow rebuild"
"""Not in one transaction, as for `atomic = False`: the new table is seen while it is filled."""

POSITIVE = models.CheckConstraint(condition=models.Q(rank__gte=0), name="rank_positive")
ONE_NICK = models.UniqueConstraint(
    fields=["nick"], condition=models.Q(rank__gte=0), name="one_nick_of_those_with_a_rank"
)


def _key() -> models.Field:
    return models.BigAutoField(primary_key=True)


STEPS: dict[str, list[Operation]] = {
    "tables": [
        CreateModel(
            "account",
            [
                ("id", _key()),
                ("token", models.TextField(unique=True)),
                ("nick", models.CharField(max_length=20, null=True)),
                ("score", models.IntegerField(null=True)),
                ("note", models.TextField(null=True)),
                ("active", models.BooleanField(default=True)),
                ("created", models.DateTimeField(null=True)),
            ],
            {"db_table": "account"},
        ),
        CreateModel(
            "entry",
            [
                ("id", _key()),
                ("account", models.ForeignKey(f"{APP}.account", models.CASCADE)),
                ("token", models.TextField()),
                ("amount", models.DecimalField(max_digits=10, decimal_places=2, null=True)),
            ],
            {"db_table": "entry"},
        ),
    ],
    "add null column": [AddField("account", "phone", models.CharField(max_length=40, null=True))],
    "add column": [AddField("account", "rank", models.PositiveIntegerField(default=7))],
    "add column to entry": [AddField("entry", "kind", models.CharField(max_length=10, default="plain"))],
    "not null": [AlterField("account", "nick", models.CharField(max_length=20, default=""))],
    "longer": [AlterField("account", "nick", models.CharField(max_length=50, default=""))],
    "null": [AlterField("account", "nick", models.CharField(max_length=50, null=True))],
    "add unique": [AlterField("account", "note", models.TextField(null=True, unique=True))],
    "drop unique": [AlterField("account", "note", models.TextField(null=True))],
    "add index": [AddIndex("account", models.Index(fields=["score"], name="account_score"))],
    "add check": [AddConstraint("account", POSITIVE)],
    "add partial unique": [AddConstraint("account", ONE_NICK)],
    "drop partial unique": [RemoveConstraint("account", ONE_NICK.name)],
    "add unique together": [AlterUniqueTogether("entry", {("token", "amount")})],
    "drop unique together": [AlterUniqueTogether("entry", set())],
    "rename column": [RenameField("account", "note", "remark")],
    "drop column": [RemoveField("account", "phone")],
    "rebuild": [AlterField("account", "active", models.BooleanField(default=False))],
    "rebuild entry": [AlterField("entry", "token", models.TextField(default="none"))],
    SLOW: [AlterField("account", "active", models.BooleanField(default=False))],
    "another type": [AlterField("account", "score", models.CharField(max_length=20, null=True))],
    "rename model": [RenameModel("account", "client"), AlterModelTable("client", "client")],
}


def _copy_slowly(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
    copy_slowly(sql)
    return execute(sql, *arguments)


def main(path: str, commands: Path, mode: str) -> None:
    """Answer steps by new migrations."""
    options = {"timeout": 30, "transaction_mode": mode}
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": options}
    settings.configure(DATABASES={"default": database}, USE_TZ=True)
    django.setup()
    executor = MigrationExecutor(connection)
    executor.recorder.ensure_schema()
    state = executor.loader.project_state()

    def run(step: str) -> None:
        nonlocal state
        migration = Migration(step, APP)
        migration.operations = STEPS[step]
        migration.atomic = step != SLOW
        with connection.execute_wrapper(_copy_slowly) if step == SLOW else nullcontext():
            state = executor.apply_migration(state.clone(), migration)

    serve(commands, run)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
