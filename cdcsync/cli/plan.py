"""`cdcsync plan`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cdcsync.cli import show
from cdcsync.cli.config import without_password
from cdcsync.cli.options import with_settings
from cdcsync.core.ddl import differences, target_ddl
from cdcsync.core.mapping_file import mapping_text
from cdcsync.core.proposals import accepted
from cdcsync.core.target_names import folded, kept, renamed, renamings
from cdcsync.edges.source import Source
from cdcsync.machine.context import proposed_plans
from cdcsync.machine.existing import outlook
from cdcsync.machine.propose import evidence
from cdcsync.words.errors import UsageError
from cdcsync.words.settings import Loaded


def _command(
    loaded: Loaded,
    *,
    write: Annotated[Path | None, typer.Option("--write", help="Keep settings and mapping in this file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="With --write: replace the file.")] = False,
    fold_names: Annotated[
        bool, typer.Option("--fold-names", help="Propose names in lower case, as PostgreSQL reads them unquoted.")
    ] = False,
) -> int:
    """Print the mapping with its evidence and the target's DDL. Changes nothing."""
    if write is not None and write.exists() and not force:
        message = f"{write} exists already: name another file, or replace it with --force"
        raise UsageError(message)
    settings = loaded.settings
    with Source(settings.source_path) as source:
        schema, plans = proposed_plans(source, settings)
        with show.progress("looking at") as tick:
            found = evidence(source, plans, settings, tick)
    seen = outlook(settings, plans, found.proposals)
    names = renamings(seen.plans, settings, folded if fold_names else kept)
    plans, said = renamed(seen.plans, names), replace(found, proposals=seen.proposals)
    target = without_password(settings.target)
    text = mapping_text(settings, loaded.origins, plans, said, names, beside=write, target=target)
    if write is not None:
        write.write_text(text, encoding="utf-8")
        show.line(f"wrote {write}: keep, edit or delete its lines, then run cdcsync check --config {write}")
        return 0
    show.line(text)
    plans = accepted(plans, said.proposals)
    statements, not_carried = target_ddl(schema, plans, settings.target_schema)
    apart = "; run without a file uses the defaults, never what is proposed" if said.proposals else ""
    show.line(f"-- The target as this mapping builds it{apart}:\n")
    # A table found in place keeps its own schema.
    for statement in (one for one in statements if one.table not in seen.in_place):
        show.line(f"{statement.sql};  -- {statement.phase}" if statement.phase != "table" else f"{statement.sql};\n")
    for left in (one for one in not_carried if one.table not in seen.in_place):
        show.line(f"-- not carried: {left.table}: {left.what}: {left.reason}. {left.suggestion}".rstrip())
    for name, reason in schema.not_migrated:
        show.line(f"-- not migrated: {name}: {reason}")
    for other in differences(plans):
        show.line(f"-- differs: {other.table}: {other.what}: {other.reason}. {other.suggestion}")
    return 0


command = with_settings(_command)
