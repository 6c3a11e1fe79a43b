"""The console command as its users run it: in a process of its own, from a directory of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.processes import Processes, Running, clean_environment
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from support.postgres import Database

COMMAND = (sys.executable, "-m", "cdcsync")
VERB_SECONDS = 120.0


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        assert self.out, f"exit {self.code}, nothing on stdout: {self.err}"
        return json.loads(self.out)

    @property
    def error_lines(self) -> list[str]:
        """The lines on stderr."""
        return self.err.splitlines()


class Cli:
    """Runs cdcsync for one source and one target."""

    def __init__(self, processes: Processes, cwd: Path, database: Database | None, port: int | None = None) -> None:
        """Run in `cwd`, against `database`, optionally through a proxy's port."""
        self._processes, self.cwd, self.database = processes, cwd, database
        self.environment: dict[str, str] = {}
        if database is not None:
            self.environment |= database.environment(port)

    def __call__(
        self,
        *arguments: str | Path,
        expect: int | None = 0,
        environment: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        seconds: float = VERB_SECONDS,
    ) -> Result:
        """Run one command to its end. `expect` is its exit code, None where any will do."""
        done = subprocess.run(
            [*prefix, *COMMAND, *map(str, arguments)],
            cwd=self.cwd,
            env=clean_environment(**(self.environment | dict(environment or {}))),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=seconds,
            check=False,
        )
        said = f"cdcsync {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert expect is None or done.returncode == expect, said
        assert "Traceback" not in done.stderr, said
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str | Path) -> Running:
        """Start one command in the background."""
        environment = clean_environment(**self.environment)
        return self._processes.start(*COMMAND, *arguments, cwd=self.cwd, environment=environment)

    def daemon(self, *arguments: str | Path, state: str | None = "streaming") -> Running:
        """Start `run` and wait for the state it is to reach."""
        daemon = self.start("run", *arguments)
        if state is not None:
            self.wait_for_state(state, daemon)
        return daemon

    def state(self) -> str | None:
        """Return the recorded state, from the view in the target: a verb would cost half a second."""
        rows = self._database.rows("SELECT to_regclass('cdcsync.status') IS NOT NULL")
        if not rows[0][0]:
            return None
        found = self._database.rows("SELECT state FROM cdcsync.status")
        return str(found[0][0]) if found else None

    def applied(self) -> int:
        """Return the stored position, from the view in the target."""
        return int(self._database.value("SELECT applied_seq FROM cdcsync.status"))

    def wait_for_state(self, state: str, daemon: Running, seconds: float = 120.0) -> None:
        """Wait until the daemon has recorded a state and beats."""

        def reached() -> bool:
            assert daemon.is_running(), f"the daemon ended with {daemon.wait()}: {daemon.err}"
            return self.state() == state

        wait_until(reached, f"state {state}", seconds)

    @property
    def _database(self) -> Database:
        assert self.database is not None, "this command has no target"
        return self.database
