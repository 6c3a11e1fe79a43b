"""Answer what changed under the sync: a drifted schema, another history of the changelog, a table gone or back.

1. See what is different (`machine.look`).
2. The target follows where that is safe (`machine.evolve`), and every table that may have missed changes is marked for
   repair; committed.
3. Only then the source gets its triggers back: killed in between, the next session answers again and forgets nothing.
4. Where the changelog is another history, the position begins again in this one.

The marks lead to `machine.repair`.
"""

from __future__ import annotations

from dataclasses import replace

from loguru import logger

from cdcsync.core.ddl import alter, target_ddl
from cdcsync.core.evolution import evolution
from cdcsync.edges import capture, control
from cdcsync.edges.catalog import find_table
from cdcsync.edges.control import RegisteredTable
from cdcsync.machine import evolve
from cdcsync.machine.build import build_tables, register_tables
from cdcsync.machine.check import table_findings
from cdcsync.machine.context import Installation, anchor_at, not_as_mapped
from cdcsync.machine.evolve import Following
from cdcsync.machine.look import Look, Watch, leave_out, look, wait_until_still
from cdcsync.machine.repair import mark_for_repair
from cdcsync.machine.session import NOT_CAPTURED, Session
from cdcsync.words.errors import PermanentStopError, RefusedError, SchemaMovedError, SourceChangedError
from cdcsync.words.nouns import Position, TablePlan, TableProgress


class _RefusedTablesError(Exception):
    """PostgreSQL refused the copies of new tables."""

    def __init__(self, names: list[str], refusal: RefusedError) -> None:
        super().__init__(str(refusal))
        self.names = names


def reconcile(session: Session, watch: Watch) -> bool:
    """Make source, target and plans agree, and prepare the session, which holds the checkpoint.

    Returns whether there was anything to answer. Raises PermanentStopError, with the statement to run, where a person
    has to decide.
    """
    forget_what_is_gone(session)
    answered = False
    while True:
        try:
            session.prepare()
        except SourceChangedError as found:
            logger.warning("{}", found)
        else:
            return answered
        answered = True
        session.store.set_state("catching_up")
        wait_until_still(session, watch)
        try:
            _answer(session)
        except SchemaMovedError:
            continue
        except _RefusedTablesError as refused:
            # After the transaction in which they were refused.
            for name in refused.names:
                leave_out(session, name, str(refused))
        except RefusedError as refusal:
            message = f"{refusal}; does not retry by itself"
            raise PermanentStopError(message) from refusal


def _answer(session: Session) -> None:
    source_id, schema = session.store.source_id, session.settings.target_schema
    registered = control.registered_tables(session.target, source_id)
    seen = look(session, registered)
    following = _followings(session, seen, registered)
    _refuse_what_needs_a_person(session, seen, following)
    session.plans = {plan.number: plan for plan in seen.plans}
    fresh = {p.number for p in seen.plans if p.name not in registered}
    fresh |= {number for number, one in following.items() if one.found is None}
    with session.target.transaction():
        session.store.hold(session.checkpoint.position)
        session.store.set_state("catching_up")
        for one in following.values():
            evolve.follow(session.target, schema, source_id, one, seen.plans)
        _build(session, seen, [plan for plan in seen.plans if plan.number in fresh])
        for progress in session.checkpoint.tables:
            if progress.number not in fresh:
                _mark(session, seen, following.get(progress.number), progress)
    _capture_again(session, seen)
    session.store.drift_ends()
    if seen.other_history:
        _begin_history(session)


def _followings(session: Session, seen: Look, registered: dict[str, RegisteredTable]) -> dict[int, Following]:
    """Return, by number, the tables that were captured before, with what changed on either side.

    Raises PermanentStopError where only the settings did.
    """
    schema = session.settings.target_schema
    statements, _ = target_ddl(seen.schema, seen.plans, schema)
    found: dict[int, Following] = {}
    for plan in seen.plans:
        if plan.name not in registered:
            continue
        known = registered[plan.name]
        changed = evolution(known.plan, plan)
        drifted = plan.name in seen.drift or seen.captured.get(plan.name) != plan.number or seen.other_history
        if changed.remapped or (not drifted and (changed.added or changed.removed or changed.key_changed)):
            raise PermanentStopError(not_as_mapped(plan.name))
        own = tuple(statement for statement in statements if statement.table == plan.name)
        copy = evolve.copy_to_follow(session.target, schema, plan, changed)
        found[plan.number] = Following(plan, known, changed, own, copy, drifted)
    return found


def _refuse_what_needs_a_person(session: Session, seen: Look, following: dict[int, Following]) -> None:
    statements = []
    for one in following.values():
        statements += evolve.needed(session.target, session.settings.target_schema, one)
        findings = table_findings(one.plan, seen.plans) if one.drifted else []
        findings += evolve.obstacles(session.target, session.settings.target_schema, one)
        for finding in findings:
            if finding.severity == "blocking":
                message = f"{finding.message} ({finding.fix}); does not retry by itself"
                raise PermanentStopError(message)
    if statements:
        drifted = ", ".join(str(drift) for drift in seen.drift.values()) or "the source changed"
        message = (
            f"{drifted}: PostgreSQL has to follow, and that is not done without you: "
            f"{'; '.join(statements)} (cdcsync psql runs it), then start again; does not retry by itself"
        )
        raise PermanentStopError(message)


def _build(session: Session, seen: Look, fresh: list[TablePlan]) -> None:
    """Create and register the copies of new tables, and of those whose copy is gone."""
    schema, target, source_id = session.settings.target_schema, session.target, session.store.source_id
    for plan in fresh:
        for old in control.registered_ddl(target, source_id, plan.name):
            control.forget_ddl(target, source_id, old.place)
    try:
        built = build_tables(target, schema, seen.schema, seen.plans, fresh)
    except RefusedError as refusal:
        if all(plan.name in seen.captured for plan in fresh):
            raise
        raise _RefusedTablesError([plan.name for plan in fresh if plan.name not in seen.captured], refusal) from refusal
    register_tables(target, source_id, schema, fresh, built)
    for plan in fresh:
        logger.info("table {} is captured from now on and copied", plan.name)


def _mark(session: Session, seen: Look, one: Following | None, progress: TableProgress) -> None:
    """Write down what has to happen to one table's rows."""
    store, plan = session.store, session.plans.get(progress.number)
    if plan is None:
        if progress.state != "dropped":
            store.save(replace(progress, state="dropped", cursor=None))
            store.open_drift(progress.number, progress.name, "dropped", _kept(session, progress), None)
        return
    drift, held = seen.drift.get(plan.name), seen.captured.get(plan.name) == plan.number
    as_it_was = drift is None or (drift.kind == "changed" and plan.name in seen.unbroken and _is_plain(one))
    missed = not (held and as_it_was) or seen.other_history
    if not missed and (one is None or not one.is_new_to_rows()):
        return
    kind = "other history" if seen.other_history else drift.kind if drift else "changed" if held else "uncaptured"
    if progress.state == "dropped":
        store.close_drift(progress.number)
        progress = replace(progress, state="joined")
    mark_for_repair(store, progress, keyed=bool(plan.key))
    since = session.looked_at if missed else None
    store.open_drift(progress.number, progress.name, kind, "compared with the source and mended", since)


def _is_plain(one: Following | None) -> bool:
    """Tell whether every column still is what it was: then the triggers' entries say all there is to say."""
    return one is None or one.changed.only_appended


def _capture_again(session: Session, seen: Look) -> None:
    """Unchanged tables keep their triggers; those of a table that drifted, came back or is new are made."""
    numbers = {plan.name: plan.number for plan in seen.plans}
    anew = {n for name, n in numbers.items() if name in seen.drift or seen.captured.get(name) != n}
    anew |= {n for name, n in seen.captured.items() if numbers.get(name) != n}
    captured = [(plan.number, plan.table, plan.key) for plan in seen.plans]
    path, history = session.source.path, seen.other_history
    held = capture.reinstall(path, captured, seen.schema_version, anew=anew, new_history=history)
    logger.info("captured again; the source's write lock was held for {}", held)


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


def _kept(session: Session, progress: TableProgress) -> str:
    target = dict(session.store.target_tables())[progress.number]
    statement = alter.drop_table(session.settings.target_schema, target)
    return f"its copy in PostgreSQL stays as it was until you run {statement}"


def forget_what_is_gone(session: Session) -> None:
    """Forget a table that the source dropped once its copy is dropped too, and a left out one that is gone."""
    schema, source_id = session.settings.target_schema, session.store.source_id
    targets = dict(session.store.target_tables())
    for progress in session.store.read().tables:
        if progress.state == "dropped" and find_table(session.target, schema, targets[progress.number]) is None:
            session.store.close_drift(progress.number)
            control.forget_table(session.target, source_id, progress.number)
    with session.source.reading():
        present = {name for (name,) in session.source.rows("table_names")}
    for gap in session.store.gaps():
        unwanted = gap.table not in present or session.settings.table(gap.table).skip
        if gap.kind == NOT_CAPTURED and gap.closed_at is None and unwanted:
            session.store.close_drift(gap.number)
