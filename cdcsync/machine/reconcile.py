"""Answer what changed under the sync: a drifted schema, another history of the changelog, a table gone or back.

1. See what is different, in one read transaction, once the schema stands still.
2. The target follows where that is safe, and every table that may have missed changes is marked for repair; committed.
3. Only then the source gets its triggers back: killed in between, the next session answers again and forgets nothing.
4. Where the changelog is another history, the position begins again in this one.

Repair itself is `machine.repair`, which the marks lead to.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from loguru import logger

from cdcsync.core.ddl import alter, target_ddl
from cdcsync.core.drift import TableDrift
from cdcsync.core.evolution import Evolution, evolution
from cdcsync.core.plan import table_plans, untyped_columns
from cdcsync.edges import capture, control
from cdcsync.edges.catalog import find_table
from cdcsync.edges.control import RegisteredTable
from cdcsync.edges.schema import read_schema
from cdcsync.edges.source import schema_objects
from cdcsync.edges.triggers import trigger_statements
from cdcsync.machine import evolve
from cdcsync.machine.build import build_tables, register_tables
from cdcsync.machine.check import capture_findings, new_table_findings
from cdcsync.machine.context import Installation, anchor_at, not_as_mapped, storage_classes, uncaptured_tables
from cdcsync.machine.evolve import Following
from cdcsync.machine.repair import mark_for_repair
from cdcsync.machine.session import Session
from cdcsync.words.errors import DriftError, IdentityError, PermanentStopError, RefusedError, SchemaMovedError
from cdcsync.words.nouns import Position, SourceSchema, TablePlan, TableProgress

STILL_SECONDS = 1.0
"""How long the schema must not move: a write of ours between two steps of a migration could make its next one fail."""

MISSING_SECONDS = 5.0
"""The same where a table is missing or new: a rebuild in several transactions has such moments."""

LONGEST_SECONDS = 30.0
"""A schema that keeps moving is answered as it is then."""

LOOK_SECONDS = 0.05

Watch = Callable[[], None]


def reconcile(session: Session, watch: Watch) -> None:
    """Make source, target and plans agree, and prepare the session, which holds the checkpoint.

    Costs one look where nothing changed. Raises PermanentStopError, with the statement to run, where a person has to
    decide.
    """
    _forget_what_both_dropped(session)
    while True:
        try:
            session.prepare()
        except (DriftError, IdentityError) as found:
            logger.warning("{}", found)
        else:
            return
        _wait_until_still(session, watch)
        try:
            _answer(session)
        except SchemaMovedError:
            continue
        except RefusedError as refusal:
            message = f"{refusal}; does not retry by itself"
            raise PermanentStopError(message) from refusal


@dataclass(frozen=True, slots=True)
class Look:
    """What one read transaction saw. `plans` are those of the tables to capture; `created` those of them that are new.

    `uncut` are drifted tables all of whose triggers are there and as they must be: nothing was missed.
    """

    schema_version: int
    drift: dict[str, TableDrift]
    other_history: bool
    schema: SourceSchema
    plans: tuple[TablePlan, ...]
    created: tuple[TablePlan, ...]
    uncut: frozenset[str]
    untyped: frozenset[tuple[str, str]]


def _wait_until_still(session: Session, watch: Watch) -> None:
    began = since = time.monotonic()
    version = session.source.schema_version()
    with session.source.reading():
        missing = any(drift.kind in {"dropped", "renamed"} for drift in session.source.drift())
        created = uncaptured_tables(session.source, session.settings, session.installation.numbers)
    wanted = MISSING_SECONDS if missing or (created and session.settings.new_tables == "capture") else STILL_SECONDS
    while time.monotonic() - since < wanted and time.monotonic() - began < LONGEST_SECONDS:
        watch()
        time.sleep(LOOK_SECONDS)
        if (now := session.source.schema_version()) != version:
            version, since = now, time.monotonic()


def _look(session: Session, registered: dict[str, RegisteredTable]) -> Look:
    source, settings = session.source, session.settings
    session.installation = Installation(source)
    with source.reading() as connection:
        version = source.schema_version()
        schema = read_schema(connection)
        plans = table_plans(schema, settings, storage_classes(source, schema), registered)
        drift = {found.name: found for found in source.drift()}
        rendered = {item.name: item.sql for item in schema_objects(connection) if item.kind == "trigger"}
        other = not session.is_this_history(session.checkpoint.position)
    known = {**session.installation.numbers, **{name: table.number for name, table in registered.items()}}
    following = max(known.values(), default=0) + 1
    created = [plan for plan in plans if plan.name not in known and settings.new_tables == "capture"]
    created = [replace(plan, number=number) for number, plan in enumerate(created, following)]
    created = [plan for plan in created if _can_be_captured(session, plan, plans)]
    kept = [replace(plan, number=known[plan.name]) for plan in plans if plan.name in known]
    uncut = frozenset(
        plan.name
        for plan in kept
        if plan.name in drift and drift[plan.name].kind == "changed" and _has_its_triggers(plan, rendered)
    )
    untyped = frozenset(untyped_columns(schema))
    return Look(version, drift, other, schema, (*kept, *created), tuple(created), uncut, untyped)


def _has_its_triggers(plan: TablePlan, rendered: dict[str, str | None]) -> bool:
    """Tell whether the triggers the table would get now are those it has: then they saw every change."""
    wanted = set(trigger_statements(plan.number, plan.table, plan.key))
    prefix = f"_cdcsync_{plan.number}_"
    return wanted == {sql for name, sql in rendered.items() if name.startswith(prefix)}


def _can_be_captured(session: Session, plan: TablePlan, plans: tuple[TablePlan, ...]) -> bool:
    """A new table that cannot be captured is left out, and said so once."""
    findings = new_table_findings(session.target, session.settings.target_schema, plan, plans)
    blocking = [f"{finding.message} ({finding.fix})" for finding in findings if finding.severity == "blocking"]
    if blocking:
        session.left_out.add(plan.name)
        logger.warning("new table {} is not captured: {}", plan.name, "; ".join(blocking))
    return not blocking


def _answer(session: Session) -> None:
    source_id, settings = session.store.source_id, session.settings
    _adopt_renamed(session)
    registered = control.registered_tables(session.target, source_id)
    look = _look(session, registered)
    following = _followings(session, look, registered)
    _refuse_what_needs_a_person(session, look, following)
    session.plans = {plan.number: plan for plan in look.plans}
    with session.target.transaction():
        session.store.hold(session.checkpoint.position)
        session.store.set_state("catching_up")
        for one in following:
            evolve.follow(session.target, settings.target_schema, source_id, one)
        fresh = _register_new(session, look, registered)
        for progress in session.checkpoint.tables:
            if progress.number not in fresh:
                _mark(session, look, following, progress)
    _capture_again(session, look)
    session.store.drift_ends()
    if look.other_history:
        _begin_history(session)


def _capture_again(session: Session, look: Look) -> None:
    """Unchanged tables keep their triggers; those of a table that drifted, came back or is new are made."""
    present = session.installation.numbers
    anew = {plan.number for plan in look.plans if plan.name in look.drift or plan.name not in present}
    anew |= {drift.number for drift in look.drift.values() if drift.kind == "dropped"}
    captured = [(plan.number, plan.table, plan.key) for plan in look.plans]
    path, history = session.source.path, look.other_history
    seconds = capture.reinstall(path, captured, look.schema_version, anew=anew, new_history=history)
    logger.info("captured again; the source's write lock was held for {:.1f} ms", seconds * 1000)


def _followings(session: Session, look: Look, registered: dict[str, RegisteredTable]) -> list[Following]:
    """Return the captured tables whose columns, key or constraints may have changed."""
    statements, _ = target_ddl(look.schema, look.plans, session.settings.target_schema)
    found = []
    for plan in look.plans:
        known = registered.get(plan.name)
        if known is None:
            continue
        changed = evolution(known.plan, plan, [column for table, column in look.untyped if table == plan.name])
        drifted = plan.name in look.drift or plan.name not in session.installation.numbers or look.other_history
        remapped = changed.added or changed.removed or changed.key_changed
        if changed.remapped or (remapped and not drifted):
            raise PermanentStopError(not_as_mapped(plan.name))
        if drifted:
            own = tuple(statement for statement in statements if statement.table == plan.name)
            found.append(Following(plan, known, changed, own))
    return found


def _refuse_what_needs_a_person(session: Session, look: Look, following: list[Following]) -> None:
    schema = session.settings.target_schema
    statements = []
    for one in following:
        statements += evolve.needed(session.target, schema, one)
        for finding in capture_findings(one.plan):
            if finding.severity == "blocking":
                message = f"{finding.message} ({finding.fix}); does not retry by itself"
                raise PermanentStopError(message)
    targets, followed = dict(session.store.target_tables()), {plan.number for plan in look.plans}
    for drift in look.drift.values():
        if drift.now is not None and drift.number not in followed:
            statements.append(alter.rename_table(schema, targets[drift.number], drift.now))
    if statements:
        drifted = ", ".join(str(drift) for drift in look.drift.values()) or "the schema of the source changed"
        message = (
            f"{drifted}: PostgreSQL has to follow, and that is not done without you: "
            f"{'; '.join(statements)} (cdcsync psql runs it), then start again; does not retry by itself"
        )
        raise PermanentStopError(message)


def _register_new(session: Session, look: Look, registered: dict[str, RegisteredTable]) -> set[int]:
    """Create and register the copies of new tables, and of those whose copy somebody dropped."""
    schema, target = session.settings.target_schema, session.target
    wanted = [p for p in look.plans if p.name not in registered or find_table(target, schema, p.target) is None]
    for plan in wanted:
        for old in control.registered_ddl(target, session.store.source_id, plan.name):
            control.forget_ddl(target, session.store.source_id, old.place)
    built = build_tables(target, schema, look.schema, look.plans, wanted)
    register_tables(target, session.store.source_id, schema, wanted, built)
    for plan in wanted:
        logger.info("table {} is captured from now on and copied", plan.name)
    return {plan.number for plan in wanted}


def _mark(session: Session, look: Look, following: list[Following], progress: TableProgress) -> None:
    """Write down what has to happen to one table's rows."""
    store, drift = session.store, look.drift.get(progress.name)
    plan = session.plans.get(progress.number)
    if plan is None:
        if progress.state != "dropped":
            store.save(replace(progress, state="dropped", cursor=None))
            store.open_drift(progress.number, progress.name, "dropped", _kept(session, progress), None)
        return
    changed = next((one.changed for one in following if one.plan.number == progress.number), Evolution())
    back = progress.state == "dropped"
    interrupted = (drift is not None and progress.name not in look.uncut) or back
    uncaptured = progress.name not in session.installation.numbers
    if not (interrupted or uncaptured or look.other_history or _is_new_to_rows(plan, changed)):
        return
    kind = "other history" if look.other_history else drift.kind if drift else "uncaptured" if uncaptured else "changed"
    if back:
        progress = replace(progress, state="joined")
        store.close_drift(progress.number)
    mark_for_repair(session, progress)
    since = session.looked_at if interrupted or uncaptured or look.other_history else None
    store.open_drift(progress.number, progress.name, kind, "compared with the source and mended", since)


def _is_new_to_rows(plan: TablePlan, changed: Evolution) -> bool:
    """Tell whether rows that nobody wrote to have another value: a new column's default, or another name's values."""
    added = [plan.table.column(column.source) for column in changed.added]
    return any(c.default is not None or c.generated for c in added) or bool(added and changed.removed)


def _kept(session: Session, progress: TableProgress) -> str:
    target = dict(session.store.target_tables())[progress.number]
    statement = alter.drop_table(session.settings.target_schema, target)
    return f"its copy in PostgreSQL stays as it was until you run {statement}"


def _begin_history(session: Session) -> None:
    """Take the position from the changelog as it is now; the tables are marked for repair already."""
    installation = Installation(session.source)
    with session.source.reading():
        head = int(session.source.ask("head"))
        position = Position(installation.epoch, head, anchor_at(session.source, head))
    logger.warning(
        "{} holds another history than the one followed so far (a restored, cleared or other file): "
        "every table is compared with it and mended",
        session.source.path,
    )
    session.store.begin_history(position)


def _adopt_renamed(session: Session) -> None:
    """Follow a table that was renamed once its copy is renamed too."""
    schema, target, source_id = session.settings.target_schema, session.target, session.store.source_id
    with session.source.reading():
        renamed = [drift for drift in session.source.drift() if drift.now is not None]
    targets = dict(session.store.target_tables())
    for drift in renamed:
        name = session.settings.table(str(drift.now)).target or str(drift.now)
        gone = find_table(target, schema, targets[drift.number]) is None
        if gone and find_table(target, schema, name) is not None:
            control.rename_table(target, source_id, drift.number, str(drift.now), name)
    session.refresh()


def _forget_what_both_dropped(session: Session) -> None:
    """Forget a table that the source dropped once its copy is dropped too."""
    schema = session.settings.target_schema
    targets = dict(session.store.target_tables())
    for progress in session.store.read().tables:
        if progress.state == "dropped" and find_table(session.target, schema, targets[progress.number]) is None:
            session.store.close_drift(progress.number)
            control.forget_table(session.target, session.store.source_id, progress.number)
