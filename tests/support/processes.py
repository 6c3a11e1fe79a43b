"""Processes that a test starts: their output in files, and all of them dead when the test ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Self

from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

END_SECONDS = 30.0


def clean_environment(**more: str) -> dict[str, str]:
    """Return this process's environment without anything that would configure cdcsync or libpq."""
    ours = {name: value for name, value in os.environ.items() if not name.upper().startswith(("CDCSYNC_", "PG"))}
    return ours | more


class Running:
    """One started process; stdout and stderr go to files beside each other."""

    def __init__(self, argv: Sequence[str | Path], log: Path, cwd: Path, environment: Mapping[str, str]) -> None:
        """Start it."""
        self.argv = [str(word) for word in argv]
        self._out, self._err = log.with_suffix(".out"), log.with_suffix(".err")
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd, env=environment
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def out(self) -> str:
        """What it has written to stdout so far."""
        return self._out.read_text(encoding="utf-8", errors="replace")

    @property
    def err(self) -> str:
        """What it has written to stderr so far."""
        return self._err.read_text(encoding="utf-8", errors="replace")

    def is_running(self) -> bool:
        """Tell whether it still runs."""
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, seconds: float = END_SECONDS) -> int:
        """Wait for its end; return its exit code."""
        return self._process.wait(seconds)

    def terminate(self, seconds: float = END_SECONDS) -> int:
        """Send SIGTERM and wait; return its exit code."""
        self.send(signal.SIGTERM)
        return self.wait(seconds)

    def seconds_to_terminate(self, seconds: float = END_SECONDS) -> float:
        """Send SIGTERM; return how long it took to end."""
        began = time.monotonic()
        self.terminate(seconds)
        return time.monotonic() - began

    def kill(self) -> None:
        """Send SIGKILL and wait; nothing if it has ended."""
        self._process.kill()
        self._process.wait()

    def wait_for_line(self, start: str, seconds: float = END_SECONDS) -> str:
        """Wait for a line on stdout that begins with `start`; return the rest of it."""

        def found() -> str | None:
            lines = [line for line in self.out.splitlines() if line.startswith(start)]
            assert lines or self.is_running(), f"{self.argv[:3]} ended: {self.err}"
            return lines[0] if lines else None

        line = wait_until(found, f"a line beginning with {start!r} from {self.argv[:3]}", seconds)
        return (line or "").removeprefix(start)


class Processes:
    """Starts processes and kills whatever is left."""

    def __init__(self, folder: Path) -> None:
        """Keep the output of each in this folder."""
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._started: list[Running] = []

    def start(
        self, *argv: str | Path, cwd: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> Running:
        """Start a process that does not outlive the test."""
        log = self._folder / f"{len(self._started)}.log"
        given = clean_environment() if environment is None else environment
        running = Running(argv, log, cwd or self._folder, given)
        self._started.append(running)
        return running

    def close(self) -> None:
        """Kill what still runs."""
        for running in self._started:
            running.kill()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill what still runs."""
        self.close()
