"""What the two example services have in common: how they are started, on which database, and put under load."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from support.processes import clean_environment
from support.services import LoadOf, Service, Supervised, environment_of

if TYPE_CHECKING:
    from pathlib import Path

    from support.postgres import Database
    from support.processes import Processes


class Example:
    """A service with its database file; a program of it is `interpreter` with a file of this suffix."""

    name: ClassVar[str]
    interpreter: ClassVar[str]
    suffix: ClassVar[str]

    def __init__(self, processes: Processes, code: Path, folder: Path, journal: str) -> None:
        """Run `code`, keep data in `folder`."""
        self.file = folder / f"{self.name}.db"
        self._processes, self._code, self._folder, self._journal = processes, code, folder, journal

    def program(self, name: str) -> list[str | Path]:
        """Return the command of one of its programs."""
        return [self.interpreter, self._code / f"{name}{self.suffix}"]

    def serve_sqlite(self) -> Service:
        """Start the service on the file."""
        return self._serve(self._on_sqlite())

    def serve_postgres(self, database: Database) -> Service:
        """Start the service on PostgreSQL."""
        return self._serve(environment_of(self._code, DB_PROVIDER="postgres", **database.environment()))

    def supervise(self, database: Database) -> Supervised:
        """Start the service on the file, by its supervisor; its settings name the database it may move to."""
        settings = self._on_sqlite() | database.environment()
        return Supervised(self._processes, self.program("supervise"), self._folder, settings)

    def load(self, url: str) -> LoadOf:
        """Start the load generator."""
        return LoadOf(self._processes, self.program("load"), self._folder, url)

    def settings(self) -> str:
        """Return the example's `cdcsync.toml` for a directory beside the file's, its hooks for this deployment."""
        text = (self._code / "cdcsync.toml").read_text().replace(f'"{self.name}.db"', f'"../{self.name}.db"')
        hook = re.compile(rf'"(?:python|node) (\w+\{self.suffix})(.*)"')
        return hook.sub(rf"""'"{self.interpreter}" "{self._code}/\1"\2 --env-file ../.env'""", text)

    def _on_sqlite(self) -> dict[str, str]:
        settings = {"DB_PROVIDER": "sqlite", "SQLITE_PATH": str(self.file), "SQLITE_JOURNAL_MODE": self._journal}
        return environment_of(self._code, **settings)

    def _serve(self, settings: dict[str, str]) -> Service:
        command = (*self.program("service"), "--port", "0")
        return Service(self._processes.start(*command, environment=clean_environment(**settings)))
