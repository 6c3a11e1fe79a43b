"""The play with the user's own file: a copy of it is installed, copied, streamed, verified, cut over. No service."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import Any

import psycopg

from cdcsync.cli.demonstration import gauges
from cdcsync.cli.demonstration.children import Child, Tick
from cdcsync.cli.demonstration.outcome import OwnFileOutcome
from cdcsync.cli.demonstration.picture import Screen
from cdcsync.cli.demonstration.stage import Stage, step
from cdcsync.cli.demonstration.touches import Touches
from cdcsync.edges.backup import back_up
from cdcsync.edges.source import refuse_unusable
from cdcsync.machine.context import proposed_plans
from cdcsync.machine.status import status
from cdcsync.words.errors import RefusedError
from cdcsync.words.settings import ENVIRONMENT_PREFIX, Loaded

# The file, the tables in PostgreSQL, and its write-ahead log.
ROOM = 4
SHOWN_LINES = 6
PATIENCE_SECONDS = 10.0
# The copy has no application that would wait in vain.
MOST_PAUSE, APP_BUSY_TIMEOUT = 60, 3600
LOOK_SECONDS = 0.05
APPLIED = "SELECT applied_seq FROM cdcsync.status"


class OwnFile:
    """One performance on one stage, with the settings in force: their mapping applies."""

    def __init__(self, stage: Stage, screen: Screen, loaded: Loaded) -> None:
        """Take the stage; nothing is started yet."""
        self._stage, self._screen = stage, screen
        self._settings, self._original = loaded.settings, loaded.settings.source_path
        self._outcome = OwnFileOutcome()
        stage.environment.update(_environment(loaded, stage))

    def play(self) -> OwnFileOutcome:
        """Play it; the user's file is only read."""
        with step("making a copy"):
            self._make_a_copy()
        with step("installing"):
            touches = self._install()
        with step("copying"):
            self._copy()
        with step("streaming"):
            daemon = self._stream(touches)
        with step("verifying"):
            quarantined = self._verify()
        with step("cutting over"):
            self._cut_over(daemon, quarantined)
        return self._outcome

    def _make_a_copy(self) -> None:
        refuse_unusable(self._original)
        self._screen.title(f"A copy of {self._original} moves to a private PostgreSQL; the file itself is only read.")
        size, free = self._original.stat().st_size, shutil.disk_usage(self._stage.directory).free
        if free < ROOM * size:
            message = (
                f"{gauges.size(ROOM * size)} are needed in {self._stage.directory.parent}, "
                f"{gauges.size(free)} are free: set TMPDIR to another directory"
            )
            raise RefusedError(message)
        self._screen.step("a private PostgreSQL, and the copy")
        self._server = self._stage.server()
        back_up(self._original, self._stage.source)
        self._screen.detail(gauges.size(self._stage.source.stat().st_size))

    def _install(self) -> Touches:
        with self._stage.context.open_source() as source:
            _, plans = proposed_plans(source, self._settings)
        touches = Touches(self._stage.source, plans)
        self._screen.command("install")
        self._details(self._stage.verb("install").succeed(self._stage.watch).splitlines())
        return touches

    def _copy(self) -> None:
        self._screen.command("run", "--once", "--json")
        report = self._answer(self._stage.verb("run", "--once", "--json"), self._watch_copying)
        self._screen.clear()
        self._outcome.rows, self._outcome.copy_seconds = report["rows"], report["copy_seconds"]
        self._screen.detail(f"{self._outcome.rows:,} rows in {report['copy_seconds']:.1f} s, {self._outcome.rate}")
        if report["quarantined"]:
            self._name_what_does_not_fit()

    def _stream(self, touches: Touches) -> Child:
        self._screen.command("run")
        daemon = self._stage.verb("run")
        while not status(self._stage.context)["daemon"]["running"]:
            self._stage.watch()
            time.sleep(LOOK_SECONDS)
        self._screen.step(f"{len(touches)} rows of the copy are written again, one transaction each")
        with (
            self._stage.context.open_source() as source,
            psycopg.connect(self._server.conninfo, autocommit=True) as target,
        ):
            for _ in touches.run():
                committed = time.perf_counter()
                self._outcome.commits_acknowledged += 1
                if self._arrives(target, int(source.ask("head")), daemon):
                    self._outcome.commits_found += 1
                self._outcome.latencies_ms.append((time.perf_counter() - committed) * 1000)
        self._screen.detail(f"latency {gauges.latency(self._outcome.latencies_ms)}")
        return daemon

    def _arrives(self, target: psycopg.Connection[tuple[int]], seq: int, daemon: Child) -> bool:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            row = target.execute(APPLIED).fetchone()
            if row is not None and row[0] >= seq:
                return True
            if time.monotonic() > deadline:
                self._outcome.faults.append(f"position {seq} did not arrive in {PATIENCE_SECONDS:.0f} s")
                return False
            daemon.must_live()
            time.sleep(0.001)

    def _verify(self) -> int:
        self._screen.command("verify", "--json")
        report = self._answer(self._stage.verb("verify", "--json"), self._stage.watch)
        self._outcome.equal, self._outcome.tables = report["equal"], report["tables"]
        for found in report["differences"]:
            where = f"table {found['table']}, key {found['key']}"
            column = "" if found["column"] is None else f", column {found['column']}"
            self._outcome.faults.append(f"{where}{column}: source {found['source']}, target {found['target']}")
        self._screen.detail(f"{'equal' if report['equal'] else 'DIFFERENT'}: {report['rows_compared']:,} rows compared")
        return int(report["quarantined"])

    def _cut_over(self, daemon: Child, quarantined: int) -> None:
        if not self._outcome.equal:
            return
        words = ("cutover", "--no-backup", "--max-pause", str(MOST_PAUSE), "--accept-quarantine", str(quarantined))
        self._screen.command(*words, "--json")
        daemon.may_end()
        report = self._answer(self._stage.verb(*words, "--json"), self._stage.watch)
        self._outcome.pause_seconds = report["pause_seconds"]
        if report["done"]:
            self._screen.detail(f"fenced, drained, proven, handed over in {report['pause_seconds']:.2f} s")
        else:
            self._outcome.faults.append(f"not cut over: {report['reason']}")

    def _name_what_does_not_fit(self) -> None:
        self._screen.command("quarantine", "list", "--json")
        for row in self._answer(self._stage.verb("quarantine", "list", "--json"), self._stage.watch)["rows"]:
            column = "" if row["column"] is None else f", column {row['column']}"
            self._outcome.faults.append(f"table {row['table']}, key {row['key']}{column}: {row['reason']}")

    @staticmethod
    def _answer(verb: Child, tick: Tick) -> dict[str, Any]:
        """Return what a verb answers, a negative answer too; StepFailedError where it gives none."""
        verb.wait(tick)
        return dict(json.loads(verb.output or verb.succeed()))

    def _watch_copying(self) -> None:
        self._stage.watch()
        self._screen.show(lambda: gauges.copying(status(self._stage.context)))

    def _details(self, lines: list[str]) -> None:
        for line in lines[:SHOWN_LINES]:
            self._screen.detail(line)
        if len(lines) > SHOWN_LINES:
            self._screen.detail(f"... and {len(lines) - SHOWN_LINES} more lines")


def _environment(loaded: Loaded, stage: Stage) -> dict[str, str]:
    """Return the settings in force for the verbs, except where the demo has its own."""
    values = loaded.settings.model_dump(mode="json", exclude={"tables", "hooks", "target_schema"})
    values |= {"source": stage.source, "target": "embedded", "state_dir": stage.state_dir, "schema": "public"}
    values |= {"log_level": "INFO", "log_format": "text", "guard": True}
    # The user's hooks are for the user's application: nothing may switch that.
    values |= {"hooks": "{}", "app_role": "", "app_busy_timeout": APP_BUSY_TIMEOUT}
    names = {name: str(value) for name, value in values.items()}
    if loaded.origins["tables"] == "environment":
        names["tables"] = os.environ[f"{ENVIRONMENT_PREFIX}TABLES"]
    if loaded.file is not None:
        names["config"] = str(loaded.file)
    return {f"{ENVIRONMENT_PREFIX}{name.upper()}": value for name, value in names.items()}
