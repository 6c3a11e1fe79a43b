"""One working session on an installed source: both sides open, the plans, the checkpoint.

First start, retry after an error and restart are the same path: a new session asks the target for the position.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack
from typing import Self

from loguru import logger

from cdcsync.core.collations import rows_of
from cdcsync.edges import control
from cdcsync.edges.checkpoint import CheckpointStore
from cdcsync.edges.ledger import Ledger
from cdcsync.edges.quarantine import Quarantine
from cdcsync.edges.rows import RowReader
from cdcsync.edges.source import Source
from cdcsync.edges.target import Target
from cdcsync.edges.writer import TableWriter
from cdcsync.machine.context import Context, Installation, installed_plans, is_history_of, plans_left, uncaptured_tables
from cdcsync.words.errors import DriftError, IdentityError, NotInstalledError, RefusedError
from cdcsync.words.nouns import Checkpoint, Position, QuarantinedRow, State, TablePlan

NOT_CAPTURED = "not captured"
"""The kind of drift that is a new table which cannot be captured."""

TAKEOVER_SECONDS = 5.0
"""How long to wait for another holder's session to end: a killed daemon's does within this time."""


class Session:
    """Everything a verb needs that works with both sides. Usable by one thread."""

    def __init__(self, context: Context) -> None:
        """Open both sides and read the checkpoint. Raises NotInstalledError, TargetError, UsageError."""
        self.settings = context.settings
        self._stack = ExitStack()
        try:
            self._open(context)
        except BaseException:
            self._stack.close()
            raise
        self.plans: dict[int, TablePlan] = {}
        self.readers: dict[int, RowReader] = {}
        self.writers: dict[int, TableWriter] = {}
        self.quarantined: dict[int, int] = {}
        """Rows set aside, by table number, as of the last commit that set some aside or let some go."""
        self.steady: State = "streaming"
        """The state in which the target equals the source, of a position: streaming, or fenced during a cutover."""
        self.left_out: set[str] = set()
        """New tables that cannot be captured, and need not be looked at again."""
        self._reported: set[str] = set()
        self.looked_at = self.store.last_look()
        """When the texts of the schema were last seen to be what was installed, in seconds since 1970."""
        self._schema_version = -1

    def _open(self, context: Context) -> None:
        self.source: Source = self._stack.enter_context(context.open_source())
        self.installation = Installation(self.source)
        self.target: Target = self._stack.enter_context(context.open_target(self.installation.source_id))
        if not control.exists(self.target):
            message = "the target knows nothing of this source: run cdcsync install"
            raise NotInstalledError(message)
        self.store = CheckpointStore(self.target, self.installation.source_id)
        self.quarantine = Quarantine(self.target, self.installation.source_id)
        self.ledger = Ledger(self.target, self.installation.source_id)
        self.checkpoint: Checkpoint = self.store.read()

    def prepare(self) -> None:
        """Make plans, readers and writers of the captured tables, as source and target are now.

        Raises DriftError and IdentityError where the source is not what was installed (`machine.reconcile` answers
        them), PermanentStopError where the mapping or a target table is not.
        """
        self.installation = Installation(self.source)
        self.checkpoint = self.store.read()
        self.know_quarantine()
        self.left_out = {gap.table for gap in self.store.gaps() if gap.kind == NOT_CAPTURED and not gap.closed_at}
        self.forget_schema_version()
        plans: tuple[TablePlan, ...] = ()
        # After the handover the tables are the application's, which may change them as it likes.
        if self.checkpoint.state != "cut_over":
            with self.source.reading():
                self.refuse_drift()
                self.refuse_other_history(self.checkpoint.position)
            plans = installed_plans(self.source, self.target, self.settings, self.installation)
        self._use(plans)

    def _use(self, plans: tuple[TablePlan, ...]) -> None:
        # What we staged rows in has the columns of before.
        self.target.control("DISCARD TEMP")
        self.plans = {plan.number: plan for plan in plans}
        self.readers = {number: RowReader(plan) for number, plan in self.plans.items()}
        self.writers = {n: TableWriter(plan, self.settings.target_schema) for n, plan in self.plans.items()}

    def close(self) -> None:
        """Close both sides."""
        self._stack.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close both sides."""
        self.close()

    def prepare_handed_over(self) -> None:
        """Make plans, readers and writers of the tables that nobody changed: after the decision either side may be."""
        self.installation = Installation(self.source)
        self.checkpoint = self.store.read()
        self._use(plans_left(self.source, self.target, self.settings, self.installation))

    def reopen(self, context: Context) -> None:
        """Open both sides again after the target was lost; nothing is taken or prepared."""
        self._stack.close()
        self._stack = ExitStack()
        self._open(context)

    @property
    def keyed(self) -> list[TablePlan]:
        """The tables that are captured by key."""
        return [plan for plan in self.plans.values() if plan.key]

    @property
    def keyless(self) -> list[TablePlan]:
        """The tables that are copied whole."""
        return [plan for plan in self.plans.values() if not plan.key]

    def count_source(self, number: int) -> int:
        """Count the rows of a source table, inside a read transaction."""
        return int(self.source.ask("count", table=rows_of(self.plans[number].table)))

    def null_key_rows(self, connection: sqlite3.Connection, number: int) -> list[QuarantinedRow]:
        """Return what has to be set aside of a table because its key holds a NULL, inside a read transaction."""
        keys = self.readers[number].keys
        return [keys.null_rows(key, rows) for key, rows in keys.with_null(connection)]

    def know_quarantine(self) -> None:
        """Look at how many rows are set aside now."""
        self.quarantined = self.quarantine.counts()

    def take(self, role: str) -> None:
        """Take the checkpoint over from a daemon, which then stands by, or from nobody; read it.

        Raises RefusedError while another verb works on this source.
        """
        deadline = time.monotonic() + TAKEOVER_SECONDS
        holder = self.store.read().role
        while not self.store.try_lock("holder"):
            if self.store.read().role == "daemon":
                # Its next compare-and-set fails, and it lets go of the lock.
                self.store.take(role)
            if time.monotonic() > deadline:
                raise RefusedError(self._held_by(holder))
            time.sleep(0.05)
        # Again under the lock: a daemon that stood by may have come between.
        self.store.take(role)
        self.checkpoint = self.store.read()

    def _held_by(self, holder: str | None) -> str:
        daemon = self.store.read_daemon()
        if not self.store.holds("cutover") and self.store.is_locked("cutover"):
            # After the handover the checkpoint is nobody's, and hooks run.
            holder = "cutover"
        if holder == "daemon" and daemon is not None:
            return f"the daemon (pid {daemon[0]} on {daemon[1]}) does not let go: it hangs; end it, then run this again"
        return f"cdcsync {holder or 'run'} is working on this source and does not let go: end it, or wait"

    def lock(self, what: str = "holder") -> None:
        """Wait until no other verb works on this source. Raises RefusedError where one does not let go."""
        deadline = time.monotonic() + TAKEOVER_SECONDS
        while not self.store.try_lock(what):
            if time.monotonic() > deadline:
                raise RefusedError(self._held_by(self.store.read().role))
            time.sleep(0.05)

    def try_take(self, role: str) -> bool:
        """Take the checkpoint if nobody holds it: the daemon's way, which never takes it from a verb."""
        if not self.store.try_lock("holder"):
            return False
        self.store.take(role)
        self.checkpoint = self.store.read()
        return True

    def refresh(self) -> None:
        """Read the checkpoint again."""
        self.checkpoint = self.store.read()

    def release(self) -> None:
        """Give the checkpoint back: a daemon that stands by takes it at once."""
        self.store.release()
        self.store.unlock("holder")

    def refuse_drift(self) -> None:
        """Raise DriftError where the schema is not what was installed, inside a read transaction.

        schema_version is nearly free and moves with every change, harmless ones included; then the texts decide.
        """
        # Before the look: what is committed while we look is not seen.
        now = time.time()
        version = self.source.schema_version()
        if version != self._schema_version:
            self._refuse_changed_schema()
            self._schema_version, self.looked_at = version, now

    def _refuse_changed_schema(self) -> None:
        drift = self.source.drift()
        drifted = [str(one) for one in drift]
        captured = self.installation.numbers
        states = {progress.name: progress.state for progress in self.checkpoint.tables}
        loose = uncaptured_tables(self.source, self.settings, captured)
        drifted += [f"table {name} is not captured" for name in loose if name in states]
        lost = [n for n, state in states.items() if state != "dropped" and n not in captured and n not in loose]
        drifted += [f"table {name} is gone" for name in lost]
        drifted += [f"table {name} is left out by the settings" for name in captured if self.settings.table(name).skip]
        told = {*states, *self.left_out, *(one.now for one in drift)}
        drifted += self._created([name for name in loose if name not in told])
        if drifted:
            message = (
                f"the schema changed since install: {', '.join(drifted)}; "
                "cdcsync run (the daemon) or cdcsync verify --repair follows it"
            )
            raise DriftError(message)

    def _created(self, names: list[str]) -> list[str]:
        """Tables created since install are drift if they are to be captured; else they are reported, once."""
        if self.settings.new_tables == "capture":
            return [f"table {name} is new" for name in names]
        for name in sorted(set(names) - self._reported):
            logger.warning(
                'table {} was created since install and is not captured: new_tables = "capture" copies it', name
            )
        self._reported.update(names)
        return []

    def refuse_changed_target(self) -> None:
        """Raise DriftError where a copy is not as we left it; nothing tells us of that."""
        installed_plans(self.source, self.target, self.settings, self.installation)

    def schema_moved(self) -> bool:
        """Tell whether anything about the schema changed since the last look; cheap enough for every poll."""
        return self.source.schema_version() != self._schema_version

    def forget_schema_version(self) -> None:
        """Look at the texts again at the next read, whatever the counter says."""
        self._schema_version = -1

    def is_this_history(self, position: Position) -> bool:
        """Tell whether the changelog holds the entry this position was taken from."""
        return is_history_of(self.source, self.installation, position)

    def refuse_other_history(self, position: Position) -> None:
        """Raise IdentityError where the changelog does not hold the entry this position was taken from."""
        if not self.is_this_history(position):
            message = (
                f"the changelog of {self.source.path} is not the one position {position.seq} was taken from (a "
                "restored, cleared or other file): cdcsync run (the daemon) or cdcsync verify --repair makes the "
                "target equal to this file"
            )
            raise IdentityError(message)
