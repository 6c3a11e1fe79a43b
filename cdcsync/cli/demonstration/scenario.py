"""The play: an application moves from SQLite to PostgreSQL while its clients go on writing.

Everything that matters is done by the verbs users run, as processes of their own, in a directory with a
`cdcsync.toml`. The rest is the application (`interview`), the measuring, and the picture.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from functools import partial

import psycopg

from cdcsync.cli.demonstration import gauges
from cdcsync.cli.demonstration.children import Child, StepFailedError, Tick
from cdcsync.cli.demonstration.interview import Interview, Service
from cdcsync.cli.demonstration.ledger import prove
from cdcsync.cli.demonstration.outcome import MoveOutcome
from cdcsync.cli.demonstration.picture import Screen, View
from cdcsync.cli.demonstration.stage import Stage, step
from cdcsync.machine.status import status

CLIENTS = 8
WRITES_A_SECOND = 200
BEFORE_SECONDS = 1.0
AFTER_SECONDS = 3.0
# The service waits 5 s for a lock; the pause is a fraction of a second, except on machines that are very busy.
CUTOVER = ("cutover", "--max-pause", "4", "--json")
PATIENCE_SECONDS = 15.0
LOOK_SECONDS = 0.05


class Scenario:
    """One performance on one stage."""

    def __init__(self, stage: Stage, screen: Screen) -> None:
        """Take the stage; nothing is started yet."""
        self._stage, self._screen = stage, screen
        self._app = Interview(stage)
        self._outcome = MoveOutcome()

    def play(self, messages: int, seconds: float) -> MoveOutcome:
        """Play it with a history of this many messages, streaming for this long before the handover."""
        with step("starting the application on SQLite"):
            service, clients = self._an_application_on_sqlite(messages)
        with step("copying"):
            daemon = self._copy_while_it_writes()
        with step("streaming"):
            probe = self._stream(service, seconds)
        with step("verifying"):
            self._verify_while_it_writes()
        with step("cutting over"):
            switched_at = self._cut_over(probe, daemon)
        with step("going on with PostgreSQL"):
            self._go_on(clients, daemon)
        with step("looking for every acknowledged write"):
            self._prove(switched_at)
        return self._outcome

    def _an_application_on_sqlite(self, messages: int) -> tuple[Service, Child]:
        self._screen.title("A service moves from SQLite to PostgreSQL while its clients go on writing.")
        self._screen.step(f"a SQLite database with a history of {messages:,} messages; a private PostgreSQL")
        history = self._app.make_history(messages)
        self._server = self._stage.server()
        rows = json.loads(history.succeed(self._stage.watch))
        self._history_rows = sum(rows[table] for table in ("sessions", "messages", "drafts"))
        self._screen.detail(f"{self._history_rows:,} rows, {gauges.size(self._stage.source.stat().st_size)}")
        self._screen.step(f"the service starts on SQLite; {CLIENTS} clients write {WRITES_A_SECOND} times a second")
        service = self._app.serve_from_sqlite(self._server, self._stage.watch)
        clients = self._app.start_clients(service, CLIENTS, WRITES_A_SECOND)
        self._for(BEFORE_SECONDS, self._count)
        return service, clients

    def _copy_while_it_writes(self) -> Child:
        self._app.write_settings()
        self._screen.command("install")
        self._screen.detail(_last_line(self._stage.verb("install").succeed(self._count)))
        self._screen.command("run")
        daemon = self._stage.verb("run")
        began: float | None = None
        while (found := status(self._stage.context))["state"] != "streaming":
            self._count()
            self._screen.show(partial(gauges.copying, found))
            began = began or (time.monotonic() if found["state"] == "copying" else None)
            time.sleep(LOOK_SECONDS)
        seconds = time.monotonic() - (began or time.monotonic())
        self._screen.clear()
        copied = sum(table["rows_copied"] for table in found["tables"])
        self._screen.detail(f"copied {copied:,} rows in about {seconds:.1f} s, streaming now")
        return daemon

    def _stream(self, service: Service, seconds: float) -> Child:
        probe = self._app.start_probe(service, self._server)
        self._for(seconds, self._watch_streaming)
        self._screen.clear()
        commits = self._app.commits
        self._screen.detail(f"{commits.rate:.0f} commits a second, latency {gauges.latency(self._app.latencies)}")
        return probe

    def _verify_while_it_writes(self) -> None:
        self._screen.command("verify")
        result = self._stage.verb("verify").succeed(self._watch_streaming)
        self._screen.clear()
        self._screen.detail(f"{_last_line(result)}, all the while it was written to")

    def _cut_over(self, probe: Child, daemon: Child) -> str:
        probe.stop()
        daemon.may_end()
        self._screen.command(*CUTOVER)
        cutover = self._stage.verb(*CUTOVER)
        failed = cutover.wait(self._count)
        if not cutover.output:
            raise StepFailedError(cutover.last_line)
        report = json.loads(cutover.output)
        if failed:
            raise StepFailedError(report["reason"])
        seconds = {step["name"]: step["seconds"] for step in report["steps"]}
        self._screen.detail(f"fenced, drained, {report['verified_keys']} changed keys verified, handed over")
        self._screen.detail("the service was restarted on PostgreSQL, and passed its smoke test")
        self._outcome.pause_seconds, self._outcome.switch_seconds = report["pause_seconds"], report["switch_seconds"]
        self._outcome.switch_parts = {
            "the service restarts, its clients wait": seconds["after_handover"],
            "its answers are compared, then writes are tried": seconds["smoke_test"],
        }
        return datetime.fromtimestamp(self._app.switched_at, UTC).isoformat(timespec="microseconds")

    def _go_on(self, clients: Child, daemon: Child) -> None:
        self._screen.step("the clients write to PostgreSQL")
        self._for(AFTER_SECONDS, lambda: self._screen.show(self._serving))
        self._screen.clear()
        clients.tell_to_stop()
        self._outcome.clients = json.loads(clients.succeed())
        code = daemon.wait_at_most(PATIENCE_SECONDS)
        if code != 0:
            ended = "has not ended" if code is None else f"ended with exit code {code}"
            self._outcome.faults.append(f"the daemon {ended} after the handover: {daemon.last_line}")
        else:
            self._screen.detail("cdcsync run has ended by itself")

    def _prove(self, switched_at: str) -> None:
        self._screen.step("looking for every acknowledged write in PostgreSQL, by id and text")
        ledgers = (self._app.ledger, self._app.probe_ledger)
        with psycopg.connect(self._server.conninfo, autocommit=True) as target:
            proof = prove(ledgers, self._stage.source, target, switched_at)
        if (state := status(self._stage.context)["state"]) != "cut_over":
            proof.faults.append(f"the state is {state}, not cut_over")
        self._outcome.faults += proof.faults
        self._outcome.switched_at = switched_at
        self._outcome.rows, self._outcome.history_rows = proof.rows, self._history_rows
        self._outcome.commits_acknowledged, self._outcome.commits_found = proof.acknowledged, proof.found
        self._app.look()
        self._outcome.latencies_ms = self._app.latencies

    def _for(self, seconds: float, tick: Tick) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            tick()
            time.sleep(LOOK_SECONDS)

    def _count(self) -> None:
        self._stage.watch()
        self._app.look()

    def _watch_streaming(self) -> None:
        self._count()
        self._screen.show(self._streaming)

    def _streaming(self) -> View:
        commits = self._app.commits
        return gauges.streaming(status(self._stage.context), commits.rate, commits.count, self._app.latencies)

    def _serving(self) -> View:
        self._count()
        return gauges.serving(self._app.commits.rate, self._app.commits.count)


def _last_line(output: str) -> str:
    return output.strip().rpartition("\n")[2]
