"""Every way cdcsync can fail, explained once for the reader and for the user.

An error carries one line: what failed, where, why, the command or setting that mends it, and whether it
retries by itself. `exit_code` is the code of the process when the error reaches the command line.
"""

from __future__ import annotations

from typing import Any


class CdcsyncError(Exception):
    """Something cdcsync can explain. Its text is complete: the command line prints it and nothing else."""

    exit_code = 1


class UsageError(CdcsyncError):
    """The command line, the settings or the source file they name cannot be used as they are."""

    exit_code = 2


class RefusedError(CdcsyncError):
    """The answer is no: a table in the way, a second daemon, a source that is not quiet."""


class SchemaMovedError(RefusedError):
    """The schema of the source changed between a look at it and the write that relied on that look."""


class TargetError(CdcsyncError):
    """PostgreSQL cannot be reached or will not let us in."""


class NotInstalledError(CdcsyncError):
    """The verb needs an installed source."""


class GaveUpError(CdcsyncError):
    """The question stays open: no common position in time, or a side that does not answer."""

    exit_code = 3


class PermanentStopError(CdcsyncError):
    """A stop that a restart cannot mend: the daemon ends with exit 3 and systemd leaves it down."""

    exit_code = 3


class BadValueError(CdcsyncError):
    """PostgreSQL cannot hold this value, or would change it: the row goes to quarantine."""

    def __init__(self, table: str, key: str, column: str, reason: str, value: str = "", source_key: Any = None) -> None:
        """Name the place: `key` is the readable key of the row, `source_key` the same as a `core.keys.Key`.

        `reason` says what is wrong with the value, `value` is an SQL literal, cut. `others`: the same row's other
        values that are refused.
        """
        super().__init__(f"table {table}, key {key}, column {column}: {reason}")
        self.table, self.key, self.column, self.reason = table, key, column, reason
        self.value, self.source_key = value, source_key
        self.others: tuple[BadValueError, ...] = ()


class SourceChangedError(CdcsyncError):
    """Source or target are not what the session was prepared for; whoever holds the checkpoint answers it."""

    exit_code = 3


class DriftError(SourceChangedError):
    """The schema or the triggers are no longer those that were installed."""


class IdentityError(SourceChangedError):
    """The changelog is not the one this position was taken from: a restored, cleared or foreign file."""


class LostCheckpointError(CdcsyncError):
    """Somebody else moved or took the checkpoint; the caller must read it again before it goes on."""


class ReadTooLongError(CdcsyncError):
    """A read was cut short because the WAL grew too far under it; a smaller one will do."""


class FencedError(RefusedError):
    """The source is fenced, and nobody has handed over: a cutover was cut short."""

    def __init__(self, message: str) -> None:
        """`message` is what the fence says to the application."""
        super().__init__(
            f"the source is fenced ({message}) and PostgreSQL is not handed over yet: run cdcsync cutover to go on, or "
            "cdcsync rollback to go back"
        )


class HookError(RefusedError):
    """A command of the operator's failed."""


class FenceLiftedError(RefusedError):
    """The fence was lifted before the decision: the application goes on with SQLite, nothing was handed over."""

    def __init__(self) -> None:
        """There is one reason."""
        super().__init__("the longest pause (--max-pause) was spent: the fence was lifted")


class StopRequestedError(CdcsyncError):
    """SIGTERM or SIGINT arrived: unwind to the last commit."""


class SourceBusyError(CdcsyncError):
    """Another process holds the source locked; passes by itself."""
