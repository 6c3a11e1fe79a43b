"""The services of the examples: started as their users start them, asked over HTTP."""

from __future__ import annotations

import json
import signal
import socket
import time
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from support.processes import Processes, Running

REQUEST_SECONDS = 30.0
SETTLE_SECONDS = 1.0


def environment_of(example: Path, **changed: str) -> dict[str, str]:
    """Return the settings of `.env.example` with some changed."""
    lines = (example / ".env.example").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return dict(pairs) | changed


class Endpoint:
    """Where a service is asked."""

    def __init__(self, url: str) -> None:
        """Know where it is."""
        self.url = url

    def get(self, path: str) -> tuple[int, Any]:
        """Return status and JSON of one GET."""
        return self._ask("GET", path)

    def post(self, path: str) -> tuple[int, Any]:
        """Return status and JSON of one POST without a body."""
        return self._ask("POST", path)

    def get_all(self, paths: Iterable[str]) -> dict[str, tuple[int, Any]]:
        """Return the answers to many GETs by path."""
        return {path: self.get(path) for path in paths}

    def _ask(self, method: str, path: str) -> tuple[int, Any]:
        with closing(HTTPConnection(urlsplit(self.url).netloc, timeout=REQUEST_SECONDS)) as connection:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())


class Service(Endpoint):
    """One running service."""

    def __init__(self, running: Running) -> None:
        """Wait until it listens."""
        self.running = running
        super().__init__(running.wait_for_line("listening on "))

    def stop(self) -> None:
        """Stop it; it ends well and has logged no error."""
        assert self.running.terminate() == 0
        assert self.running.err == "", f"the service logged: {self.running.err[:2000]}"


class Supervised(Endpoint):
    """A service that its supervisor starts again, on the database its env file then names."""

    def __init__(
        self, processes: Processes, command: list[str | Path], folder: Path, settings: Mapping[str, str]
    ) -> None:
        """Write the env file and wait until the service listens."""
        env_file, self._pid_file = folder / ".env", folder / "service.pid"
        settings = {**settings, "PORT": str(_free_port())}
        env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        self.running = processes.start(*command, "--env-file", env_file)
        super().__init__(self.running.wait_for_line("listening on "))

    @property
    def started_at(self) -> datetime:
        """When the process that serves now was started."""
        return datetime.fromtimestamp(self._pid_file.stat().st_mtime, UTC)

    def stop(self) -> None:
        """Stop supervisor and service."""
        if self.running.is_running():
            self.running.terminate()


def _free_port() -> int:
    with closing(socket.socket()) as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


class LoadOf:
    """A load generator with its ledger, which follows the service by a file with its url."""

    def __init__(self, processes: Processes, command: list[str | Path], folder: Path, url: str) -> None:
        """Start it; it writes until told to stop."""
        self.ledger, self._url_file = folder / "ledger.jsonl", folder / "url"
        self.follow(url)
        where = ("--url-file", self._url_file, "--ledger", self.ledger, "--seconds", "0")
        self._running = processes.start(*command, *where, "--rate", "200", "--clients", "8")

    def follow(self, url: str) -> None:
        """Tell it where the service is now."""
        new = self._url_file.with_suffix(".new")
        new.write_text(url, encoding="utf-8")
        new.replace(self._url_file)

    def acknowledged(self) -> list[dict[str, Any]]:
        """Return the acknowledged writes so far, oldest first."""
        text = self.ledger.read_text(encoding="utf-8") if self.ledger.exists() else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def wait_for_writes(self, more: int = 50) -> None:
        """Wait until more writes were acknowledged."""
        before = len(self.acknowledged())
        wait_until(lambda: len(self.acknowledged()) >= before + more, "writes are acknowledged")

    def settle(self) -> None:
        """Wait, while the service is paused, until clients have entered the last answers they were given."""
        size = -1
        while size != self.ledger.stat().st_size:
            size = self.ledger.stat().st_size
            time.sleep(SETTLE_SECONDS)

    def stop(self) -> dict[str, Any]:
        """End it; return its summary."""
        self._running.send(signal.SIGTERM)
        assert self._running.wait() == 0, self._running.err
        assert self._running.err == ""
        return dict(json.loads(self._running.out.splitlines()[-1]))
