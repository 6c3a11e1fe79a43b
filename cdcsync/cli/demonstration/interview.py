"""The application of the play: the interview service, its clients, and the probe that measures the latency."""

from __future__ import annotations

import shlex
import socket
import sys
from dataclasses import dataclass

from cdcsync.cli.demonstration.children import Child, Tick
from cdcsync.cli.demonstration.ledger import Entry, Tail
from cdcsync.cli.demonstration.stage import Stage
from cdcsync.edges.embedded import EmbeddedServer
from cdcsync.edges.statements import shipped

DATABASE = "interview.db"
ENV_FILE, PID_FILE = ".env", "service.pid"
# Commits small enough that the copy can be watched; `verify` is shown, so nothing verifies in the background.
SETTINGS = f'source = "{DATABASE}"\ntarget = "embedded"\ncopy_commit_rows = 10000\nverify_rows_per_second = 0\n'
# The example's own, as its `cdcsync.toml` has them.
HOOKS = {
    "after_handover": ("switch.py", "postgres"),
    "smoke_test": ("smoke.py",),
    "after_rollback": ("switch.py", "sqlite"),
}


@dataclass(frozen=True, slots=True)
class Service:
    """The supervised service and where it listens."""

    child: Child
    url: str


class Interview:
    """Starts the example's own programs on a stage."""

    def __init__(self, stage: Stage) -> None:
        """Prepare; nothing is started yet."""
        self._stage = stage
        self._programs = shipped("examples", "interview")
        self.ledger = stage.directory / "ledger.jsonl"
        self.probe_ledger = stage.directory / "probe.jsonl"
        self.commits = Tail(self.ledger)
        self._probed = Tail(self.probe_ledger)
        self.latencies: list[float] = []

    def make_history(self, messages: int) -> Child:
        """Fill the database in the background."""
        return self._program("history", "--db", DATABASE, "--messages", str(messages))

    def write_settings(self) -> None:
        """Write the `cdcsync.toml` that the verbs find here: the example's mapping, other settings on top."""
        example = (self._programs / "cdcsync.toml").read_text(encoding="utf-8")
        mapping = example[example.index("[tables.") :]
        hooks = "".join(f"{name} = '''{self._hook(*words)}'''\n" for name, words in HOOKS.items())
        text = f"{SETTINGS}\n[hooks]\n{hooks}\n{mapping}"
        (self._stage.directory / "cdcsync.toml").write_text(text, encoding="utf-8")

    def serve_from_sqlite(self, server: EmbeddedServer, tick: Tick) -> Service:
        """Start the service on the SQLite file, by its supervisor; its settings name the server it moves to."""
        settings = {"DB_PROVIDER": "sqlite", "SQLITE_PATH": DATABASE, "PORT": str(_free_port()), **server.environment}
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self._stage.directory / ENV_FILE).write_text(lines, encoding="utf-8")
        child = self._program("supervise", "--env-file", ENV_FILE)
        return Service(child, child.first_line(tick).rpartition(" ")[2])

    @property
    def switched_at(self) -> float:
        """When the process that serves now was started."""
        return (self._stage.directory / PID_FILE).stat().st_mtime

    def start_clients(self, service: Service, clients: int, rate: int) -> Child:
        """Start clients that write until told to stop."""
        where = ("--url", service.url, "--ledger", self.ledger.name)
        return self._program("load", *where, "--clients", str(clients), "--rate", str(rate), "--seconds", "0")

    def start_probe(self, service: Service, server: EmbeddedServer) -> Child:
        """Start measuring the latency."""
        words = ("-m", "cdcsync.cli.demonstration.probe", service.url, str(self.probe_ledger))
        return self._stage.python("probe", *words, environment=server.environment)

    def look(self) -> list[Entry]:
        """Read the ledgers on; return what the clients' one has new."""
        for entry in self._probed.new():
            if entry["replicated_ms"] is not None:
                self.latencies.append(entry["replicated_ms"])
        return self.commits.new()

    def _program(self, name: str, *words: str) -> Child:
        return self._stage.python(name, str(self._programs / f"{name}.py"), *words)

    def _hook(self, program: str, *words: str) -> str:
        return shlex.join([sys.executable, str(self._programs / program), *words, "--env-file", ENV_FILE])


def _free_port() -> int:
    """The service must find its port again when it is started anew."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])
