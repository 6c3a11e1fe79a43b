"""The stored position of one source: who owns it, and moving it by compare-and-set."""

from __future__ import annotations

import os
import socket
import uuid
from datetime import datetime
from typing import Any

from cdcsync.edges.target import Target
from cdcsync.words.errors import LostCheckpointError, NotInstalledError
from cdcsync.words.nouns import Anchor, Checkpoint, Gap, PendingDdl, Position, State, TableProgress

_FILE = "checkpoint.sql"


class CheckpointStore:
    """Reads and moves the checkpoint of one source for one owner: each process that works on it is one."""

    def __init__(self, target: Target, source_id: str) -> None:
        """Take part as a new owner; nothing is taken before `take`."""
        self._target = target
        self.source_id = source_id
        self.owner = str(uuid.uuid4())
        self._held: set[str] = set()
        self.rate: float | None = None
        self.verify_rate: float | None = None
        self.pause_seconds: float | None = None
        self.cut_over_at: datetime | None = None
        self.switched_at: datetime | None = None
        self.switch_back = False

    def read(self) -> Checkpoint:
        """Return the checkpoint as it is stored. Raises NotInstalledError where the target knows no such source."""
        row = self._ask("read")
        if row is None:
            message = "the target knows nothing of this source: run cdcsync install"
            raise NotInstalledError(message)
        epoch, seq, anchor_at, anchor_key, state, owner, role, consistent, *more = row
        self.rate, self.verify_rate, self.pause_seconds, self.cut_over_at, self.switched_at, self.switch_back = more
        anchor = None if anchor_at is None else Anchor(anchor_at, anchor_key)
        tables = tuple(TableProgress(*line) for line in self._target.rows(_FILE, "read_tables", **self._which()))
        return Checkpoint(Position(epoch, seq, anchor), state, owner, role, consistent, tables)

    def take(self, role: str) -> None:
        """Become the owner. The former one sees its next compare-and-set fail and stands by."""
        self._do("take", owner=self.owner, role=role)

    def release(self) -> None:
        """Give the checkpoint back to whoever wants it."""
        self._do("release", owner=self.owner)

    def advance(
        self, before: Position, after: Position, state: State, *, consistent: bool, rate: float | None = None
    ) -> None:
        """Move the position inside the caller's transaction; fails the transaction if somebody else did."""
        anchor = after.anchor or Anchor(0.0, "")
        self._do(
            "advance",
            epoch=before.epoch,
            from_seq=before.seq,
            owner=self.owner,
            seq=after.seq,
            anchor_at=anchor.at,
            anchor_key=anchor.key,
            state=state,
            consistent=after.seq if consistent else None,
            rate=rate,
        )

    def hold(self, position: Position) -> None:
        """Lock the checkpoint for the caller's transaction. Raises LostCheckpointError if it is not ours."""
        if self._ask("hold", epoch=position.epoch, from_seq=position.seq, owner=self.owner) is None:
            message = "the checkpoint was moved or taken by another process"
            raise LostCheckpointError(message)

    def set_state(self, state: State) -> None:
        """Record the state without moving."""
        self._do("set_state", state=state, owner=self.owner)

    def fenced(self) -> None:
        """Record that the source is fenced. Raises LostCheckpointError if the checkpoint is not ours."""
        if self._do("fenced", owner=self.owner).rowcount != 1:
            message = "the checkpoint was taken by another process"
            raise LostCheckpointError(message)

    def guard_again(self, role: str) -> None:
        """Take everything back that the handover did to the checkpoint, and become its owner."""
        self._do("guard_again", owner=self.owner, role=role)

    def switched(self) -> None:
        """Record that the application was switched over."""
        self._do("switched")

    def switched_back(self) -> None:
        """Record that the application was switched back."""
        self._do("switched_back")

    def pause_took(self, seconds: float) -> None:
        """Remember how long a pause took, or would have, in which little had to be applied and compared."""
        self._do("pause_took", seconds=seconds)

    def save(self, progress: TableProgress) -> None:
        """Store where a table stands, inside the caller's transaction."""
        self._do(
            "progress",
            number=progress.number,
            state=progress.state,
            start_seq=progress.start_seq,
            cursor=progress.cursor,
            rows_copied=progress.rows_copied,
            rows_total=progress.rows_total,
        )

    def current_owner(self) -> str | None:
        """Return who has the checkpoint now: one cheap look, for those who ask every second."""
        row = self._ask("owner")
        return None if row is None else row[0]

    def copy_rates(self) -> dict[int, float]:
        """Return rows copied in a second by table number, of the table copied last first."""
        return dict(self._target.rows(_FILE, "copy_rates", **self._which()))

    def target_tables(self) -> list[tuple[int, str]]:
        """Return number and target name of every captured table."""
        return list(self._target.rows(_FILE, "target_tables", **self._which()))

    def pending_ddl(self, *phases: str) -> list[PendingDdl]:
        """Return the statements of these phases that were not run yet, in order."""
        rows = self._target.rows(_FILE, "pending_ddl", **self._which(), phases=list(phases))
        return [PendingDdl(*row) for row in rows]

    def detached(self) -> list[PendingDdl]:
        """Return what was taken off tables found in place and is not back yet, with PostgreSQL's refusals."""
        return [PendingDdl(*row) for row in self._target.rows(_FILE, "detached", **self._which())]

    def try_refused_again(self) -> None:
        """Let unique constraints and indexes that PostgreSQL refused be tried once more."""
        self._do("try_refused_again")

    def ddl_done(self, place: int, error: str | None) -> None:
        """Write down that a statement was run, or why PostgreSQL refused it."""
        self._do("ddl_done", place=place, error=error)

    def begin_history(self, position: Position) -> None:
        """Follow another history of the same source from this position on."""
        anchor = position.anchor or Anchor(0.0, "")
        self._do(
            "begin_history",
            epoch=position.epoch,
            seq=position.seq,
            anchor_at=anchor.at,
            anchor_key=anchor.key,
            owner=self.owner,
        )

    def last_look(self) -> float:
        """Return when a daemon last saw the schema to be what was installed, in seconds since 1970."""
        return float(self._ask("last_look")[0])

    def open_drift(self, number: int, table: str, kind: str, answer: str, since: float | None) -> None:
        """Write down that a table drifted, since when at the latest (seconds since 1970), and what is done."""
        self._do("open_drift", number=number, table=table, kind=kind, answer=answer, since=since)

    def drift_ends(self) -> None:
        """Write down that everything is captured again from now on."""
        self._do("drift_ends")

    def mended(self, number: int, rows: int) -> None:
        """Write down how many rows of a drifted table differed."""
        self._do("mended", number=number, rows=rows)

    def close_drift(self, number: int) -> None:
        """Write down that a table is equal again."""
        self._do("close_drift", number=number)

    def try_left_out_again(self) -> None:
        """Let the new tables that could not be captured be looked at again."""
        self._do("try_left_out_again")

    def gaps(self) -> list[Gap]:
        """Return what drifted, what is open first, then the newest."""
        return [Gap(*row) for row in self._target.rows(_FILE, "drifts", **self._which())]

    def cut_over(self) -> None:
        """Switch the guard off and end the sync. Raises LostCheckpointError if the checkpoint is not ours."""
        if self._do("cut_over", owner=self.owner).rowcount != 1:
            message = "the checkpoint was taken by another process"
            raise LostCheckpointError(message)

    def try_lock(self, what: str) -> bool:
        """Try to hold the lock `what` of this source for as long as the session lives."""
        if what not in self._held and self._target.ask(_FILE, "try_lock", name=self._lock(what))[0]:
            self._held.add(what)
        return what in self._held

    def unlock(self, what: str) -> None:
        """Let the lock go; nothing if it is not held."""
        if what in self._held:
            self._target.ask(_FILE, "unlock", name=self._lock(what))
            self._held.discard(what)

    def holds(self, what: str) -> bool:
        """Tell whether this session holds the lock."""
        return what in self._held

    def is_locked(self, what: str) -> bool:
        """Tell whether any session holds the lock."""
        return bool(self._target.ask(_FILE, "is_locked", name=self._lock(what))[0])

    def heartbeat(self, looked_at: float) -> None:
        """Say that the daemon of this process is alive, and when it last saw the schema as it was installed."""
        self._do("heartbeat", pid=os.getpid(), host=socket.gethostname(), looked_at=looked_at)

    def read_daemon(self) -> tuple[int, str, float] | None:
        """Return pid, host and age of the last heartbeat in seconds; None if no daemon ever ran."""
        row = self._ask("read_daemon")
        return None if row is None else (int(row[0]), str(row[1]), float(row[2]))

    def is_working(self, backend_pid: int) -> bool:
        """Tell whether PostgreSQL is executing something for the session with this backend."""
        row = self._target.ask(_FILE, "is_working", pid=backend_pid)
        return row is not None and bool(row[0])

    def note(self, kind: str, message: str) -> None:
        """Write a line of history for people."""
        self._do("note", kind=kind, message=message)

    def last_errors(self) -> list[tuple[datetime, str]]:
        """Return time and text of the newest errors, newest first."""
        return list(self._target.rows(_FILE, "last_errors", **self._which()))

    def _which(self) -> dict[str, str]:
        return {"source_id": self.source_id}

    def _lock(self, what: str) -> str:
        return f"cdcsync {what} {self.source_id}"

    def _ask(self, name: str, **parameters: Any) -> Any:
        return self._target.ask(_FILE, name, **self._which(), **parameters)

    def _do(self, name: str, **parameters: Any) -> Any:
        return self._target.execute(_FILE, name, **self._which(), **parameters)
