"""The application of the play: the interview service, its clients, and the probe that measures the latency."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from urllib.parse import urlsplit

from cdcsync.cli.demonstration.children import Child, StepFailedError, Tick
from cdcsync.cli.demonstration.ledger import Entry, Tail
from cdcsync.cli.demonstration.stage import Stage
from cdcsync.edges.embedded import EmbeddedServer
from cdcsync.edges.statements import shipped

DATABASE = "interview.db"
HTTP_SECONDS = 10
# Small enough that the copy can be watched.
SETTINGS = f'source = "{DATABASE}"\ntarget = "embedded"\ncopy_commit_rows = 10000\n\n'


@dataclass(frozen=True, slots=True)
class Service:
    """A running service and where it listens."""

    child: Child
    url: str

    def post(self, path: str) -> None:
        """Call one of the service's own switches, or raise StepFailedError."""
        where = urlsplit(self.url)
        connection = HTTPConnection(where.hostname or "", where.port, timeout=HTTP_SECONDS)
        connection.request("POST", path)
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
        connection.close()
        if answer.status != HTTPStatus.OK:
            message = f"POST {path} answered {answer.status}: {body}"
            raise StepFailedError(message)


class Interview:
    """Starts the example's own programs on a stage."""

    def __init__(self, stage: Stage) -> None:
        """Prepare; nothing is started yet."""
        self._stage = stage
        self._programs = shipped("examples", "interview")
        self._url_file = stage.directory / "service.url"
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
        (self._stage.directory / "cdcsync.toml").write_text(SETTINGS + mapping, encoding="utf-8")

    def serve_from_sqlite(self, tick: Tick) -> Service:
        """Start the service on the SQLite file."""
        return self._serve("service on SQLite", {"DB_PROVIDER": "sqlite", "SQLITE_PATH": DATABASE}, tick)

    def serve_from_postgres(self, server: EmbeddedServer, tick: Tick) -> Service:
        """Start the service on PostgreSQL, beside the other."""
        return self._serve("service on PostgreSQL", {"DB_PROVIDER": "postgres", **server.environment}, tick)

    def point_clients_at(self, service: Service) -> None:
        """Tell the clients where the service is: they look at every new connection."""
        partial = self._url_file.with_suffix(".new")
        partial.write_text(service.url, encoding="utf-8")
        partial.replace(self._url_file)

    def start_clients(self, clients: int, rate: int) -> Child:
        """Start clients that write until told to stop."""
        where = ("--url-file", self._url_file.name, "--ledger", self.ledger.name)
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

    def _serve(self, name: str, environment: dict[str, str], tick: Tick) -> Service:
        program = str(self._programs / "service.py")
        child = self._stage.python(name, program, "--port", "0", environment=environment)
        return Service(child, child.first_line(tick).rpartition(" ")[2])
