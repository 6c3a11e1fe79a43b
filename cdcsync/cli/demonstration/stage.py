"""The stage: a temporary directory, an embedded PostgreSQL and child processes, all gone when the curtain falls."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from cdcsync.cli.demonstration.children import Child, StepFailedError
from cdcsync.cli.demonstration.interrupts import Interrupts
from cdcsync.edges.embedded import EmbeddedServer
from cdcsync.machine.context import EMBEDDED, Context
from cdcsync.words.errors import CdcsyncError, UsageError
from cdcsync.words.settings import ENVIRONMENT_PREFIX, Settings

STATE_DIR = ".cdcsync"
FAILURES = (OSError, sqlite3.Error, psycopg.Error, HTTPException, ValueError, CdcsyncError)


class Stage:
    """Owner of everything the demo starts. Its working directory is `directory`; the source lies there too."""

    def __init__(self, source: str, *, keep: bool) -> None:
        """Prepare; `source` is the name of the SQLite file."""
        self._name, self._keep = source, keep
        self._stack = ExitStack()
        self._interrupts = Interrupts()
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        """Make the directory."""
        self._stack.enter_context(self._interrupts)
        with self._interrupts.held():
            # Not in the way of a socket's longest path, and without links in it.
            self.directory = Path(tempfile.mkdtemp(prefix="cdcsync-demo-")).resolve()
            self._stack.callback(self._remove)
        self.source, self.state_dir = self.directory / self._name, self.directory / STATE_DIR
        self.context = Context(Settings(source=self.source, target=EMBEDDED, state_dir=self.state_dir))
        self._stack.enter_context(self.context)
        self.environment = plain_environment()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop and remove everything, undisturbed by signals."""
        with self._interrupts.held():
            for child in self._children:
                child.tell_to_stop()
            self._stack.close()

    def server(self) -> EmbeddedServer:
        """Return the embedded PostgreSQL, started the first time; UsageError where its package is missing."""
        # Held: initdb and server are processes that do not know us yet.
        with self._interrupts.held():
            server = self.context.server()
        if server is None:
            message = "the demo has no embedded PostgreSQL"
            raise StepFailedError(message)
        return server

    def start(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> Child:
        """Start a child process."""
        with self._interrupts.held():
            child = Child(name, command, self.directory, {**self.environment, **(environment or {})})
            self._children.append(child)
            self._stack.callback(child.stop)
        return child

    def python(self, name: str, *words: str, environment: Mapping[str, str] | None = None) -> Child:
        """Start a Python program as a child process."""
        return self.start(name, [sys.executable, *words], environment)

    def verb(self, *words: str) -> Child:
        """Start a cdcsync verb as a child process, as a user would in this directory."""
        return self.python(f"cdcsync {words[0]}", "-m", "cdcsync", *words)

    def watch(self) -> None:
        """Raise StepFailedError if a child that should be at work has ended."""
        for child in self._children:
            child.must_live()

    def _remove(self) -> None:
        if not self._keep:
            shutil.rmtree(self.directory, ignore_errors=True)


def plain_environment() -> dict[str, str]:
    """Return our environment without what would steer cdcsync or libpq: the demo says all of that itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith((ENVIRONMENT_PREFIX, "PG"))}


@contextmanager
def step(what: str) -> Iterator[None]:
    """Name the step in the one line of any error; a user's mistake keeps its own line and exit code."""
    try:
        yield
    except UsageError:
        raise
    except FAILURES as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        message = f"demo: {what}: {reason}"
        raise StepFailedError(message) from error
