"""See what changed under the sync: the source in one read transaction, once its schema stands still."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from loguru import logger

from cdcsync.core.drift import TableDrift
from cdcsync.core.evolution import with_known_names, with_known_types
from cdcsync.core.plan import table_plans, untyped_columns
from cdcsync.core.toml_text import table_rule
from cdcsync.edges import control
from cdcsync.edges.control import RegisteredTable
from cdcsync.edges.schema import is_in_between, read_schema
from cdcsync.edges.source import schema_objects
from cdcsync.edges.triggers import trigger_statements
from cdcsync.machine.check import new_table_findings
from cdcsync.machine.context import Installation, may_be_each_sides_own, storage_classes, uncaptured_tables
from cdcsync.machine.session import NOT_CAPTURED, Session
from cdcsync.words.nouns import SourceSchema, TablePlan

STILL_SECONDS = 1.0
"""How long the schema must not move: a write of ours between two steps of a migration could make its next one fail."""

MISSING_SECONDS = 5.0
"""The same where a table is missing or new: a rebuild in several transactions has such moments."""

LONGEST_SECONDS = 30.0
"""A schema that keeps moving is answered as it is then."""

PAUSE_SECONDS = 0.05

Watch = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen. `captured` are the table numbers of the source's registry, `plans` the tables to capture now.

    `unbroken` are tables all of whose triggers are there and as they must be: they saw every change.
    """

    schema_version: int
    schema: SourceSchema
    drift: dict[str, TableDrift]
    other_history: bool
    captured: dict[str, int]
    plans: tuple[TablePlan, ...]
    unbroken: frozenset[str]


def wait_until_still(session: Session, watch: Watch) -> None:
    """Wait until the schema has not moved for a while; `watch` is called meanwhile and may stop by raising."""
    began = since = time.monotonic()
    version = session.source.schema_version()
    with session.source.reading():
        missing = any(drift.kind in {"dropped", "renamed"} for drift in session.source.drift())
        created = uncaptured_tables(session.source, session.settings, session.installation.numbers)
    wanted = MISSING_SECONDS if missing or (created and session.settings.new_tables == "capture") else STILL_SECONDS
    while time.monotonic() - since < wanted and time.monotonic() - began < LONGEST_SECONDS:
        watch()
        time.sleep(PAUSE_SECONDS)
        if (now := session.source.schema_version()) != version:
            version, since = now, time.monotonic()


def look(session: Session, registered: Mapping[str, RegisteredTable]) -> Look:
    """Look at the source; `registered` are the tables the target knows."""
    source, settings = session.source, session.settings
    names = control.known_names(session.target, session.store.source_id)
    with source.reading() as connection:
        version, installation = source.schema_version(), Installation(source)
        session.installation = installation
        schema = read_schema(connection)
        untyped = untyped_columns(schema, settings)
        new = [one for one in untyped if one[1] not in names.get(one[0], ())]
        plans = table_plans(schema, settings, storage_classes(source, schema, new), names)
        drift = {found.name: found for found in source.drift()}
        triggers = [item for item in schema_objects(connection) if item.kind == "trigger" and item.is_ours]
        other = not session.is_this_history(session.checkpoint.position)
    # Under whatever name: a table that took our triggers along was captured.
    renamed = {found.now for found in drift.values()} | {trigger.table for trigger in triggers}
    plans = tuple(_as_known(plan, registered, untyped) for plan in plans)
    plans = _to_capture(session, plans, registered, renamed)
    texts = {trigger.name: trigger.sql for trigger in triggers}
    return Look(
        schema_version=version,
        schema=schema,
        drift=drift,
        other_history=other,
        captured=installation.numbers,
        plans=plans,
        unbroken=frozenset(plan.name for plan in plans if _has_its_triggers(plan, texts)),
    )


def _as_known(
    plan: TablePlan, registered: Mapping[str, RegisteredTable], untyped: Sequence[tuple[str, str]]
) -> TablePlan:
    """Return a plan with what install found out: types of columns that declare none, and how names are spelled."""
    if plan.name not in registered:
        return plan
    before = registered[plan.name].plan
    columns = [column for table, column in untyped if table == plan.name]
    return with_known_names(with_known_types(plan, before, columns), before)


def _to_capture(
    session: Session, plans: tuple[TablePlan, ...], registered: Mapping[str, RegisteredTable], renamed: set[str | None]
) -> tuple[TablePlan, ...]:
    """Return, numbered, what is captured already, what took another name, and what is new if that is wanted."""
    captured, takes_new = session.installation.numbers, session.settings.new_tables == "capture"
    known = [replace(plan, number=registered[plan.name].number) for plan in plans if plan.name in registered]
    new = [
        plan
        for plan in plans
        if plan.name not in registered
        and (plan.name in captured or plan.name in renamed or takes_new)
        and (plan.name in captured or not may_be_each_sides_own(session.settings, plan.name))
        and _can_be_captured(session, plan, plans)
    ]
    highest = max([*captured.values(), control.highest_number(session.target, session.store.source_id)])
    return (*known, *(replace(plan, number=number) for number, plan in enumerate(new, highest + 1)))


def _can_be_captured(session: Session, plan: TablePlan, plans: tuple[TablePlan, ...]) -> bool:
    if plan.name in session.left_out:
        return False
    if is_in_between(plan.name, session.installation.numbers) and plan.name not in session.settings.tables:
        reason = "it is named like a copy that a migration tool makes for a while; a section of its own captures it"
        leave_out(session, plan.name, reason)
        return False
    findings = new_table_findings(session.target, session.settings.target_schema, plan, plans)
    blocking = [f"{finding.message} ({finding.fix})" for finding in findings if finding.severity == "blocking"]
    if blocking:
        leave_out(session, plan.name, "; ".join(blocking))
    return not blocking


def leave_out(session: Session, name: str, reason: str) -> None:
    """Do without a new table that cannot be captured; it is told in `status` and blocks the handover."""
    logger.warning("table {} is not captured: {}", name, reason)
    number = control.highest_number(session.target, session.store.source_id) + 1
    answer = f"{reason}; mend that and start the daemon again, or {table_rule(name, skip=True)}"
    session.store.open_drift(number, name, NOT_CAPTURED, answer, None)
    session.left_out.add(name)


def _has_its_triggers(plan: TablePlan, triggers: Mapping[str, str | None]) -> bool:
    wanted = set(trigger_statements(plan.number, plan.table, plan.key))
    prefix = f"_cdcsync_{plan.number}_"
    return wanted == {sql for name, sql in triggers.items() if name.startswith(prefix)}
