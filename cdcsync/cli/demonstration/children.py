"""A child process with its output in files, so that nothing of it reaches the screen."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cdcsync.words.errors import CdcsyncError

STOP_SECONDS = 5.0
LOOK_SECONDS = 0.05
LINE_SECONDS = 20.0

Tick = Callable[[], None]

PR_SET_PDEATHSIG = 1
# Linux only; elsewhere a killed demo leaves its children to be stopped by hand.
_prctl = getattr(ctypes.CDLL(None), "prctl", None)


class StepFailedError(CdcsyncError):
    """A step of the demo failed: the text names the step and says why, with the last line of its log."""


class Child:
    """One process; errors and its files, `NAME.out` and `NAME.log`, call it by its name."""

    def __init__(self, name: str, command: list[str], directory: Path, environment: Mapping[str, str]) -> None:
        """Start it in `directory`, its files beside each other in `directory/logs`."""
        self.name = name
        logs = directory / "logs"
        logs.mkdir(exist_ok=True)
        file = name.replace(" ", "-")
        self._out, self._log = logs / f"{file}.out", logs / f"{file}.log"
        with self._out.open("wb") as out, self._log.open("wb") as log:
            # In a process group of its own: Ctrl-C reaches the demo alone, which stops its children in order.
            self._process = subprocess.Popen(  # noqa: S603  our own commands, no shell
                command,
                cwd=directory,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                process_group=0,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  the demo has no threads
            )
        self._expected_to_last, self._told = True, False

    @property
    def output(self) -> str:
        """What it has written to stdout so far."""
        return self._out.read_text(encoding="utf-8", errors="replace")

    @property
    def last_line(self) -> str:
        """The last line of its log, or else of its output."""
        log = self._log.read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in [*self.output.splitlines(), *log.splitlines()] if line.strip()]
        return lines[-1].removeprefix("cdcsync: ") if lines else "it said nothing"

    def may_end(self) -> None:
        """Its end is no failure from now on."""
        self._expected_to_last = False

    def must_live(self) -> None:
        """Raise StepFailedError if it should be at work and is not."""
        if self._expected_to_last and self._process.poll() is not None:
            message = f"{self.name} ended with exit code {self._process.returncode}: {self.last_line}"
            raise StepFailedError(message)

    def first_line(self, tick: Tick) -> str:
        """Wait for the first line of its output."""
        deadline = time.monotonic() + LINE_SECONDS
        while "\n" not in self.output:
            tick()
            if time.monotonic() > deadline:
                message = f"{self.name} did not say within {LINE_SECONDS:.0f} s that it is ready: {self.last_line}"
                raise StepFailedError(message)
            time.sleep(LOOK_SECONDS)
        return self.output.partition("\n")[0]

    def wait(self, tick: Tick | None = None) -> int:
        """Wait for its end and return its exit code; without `tick` the end is noticed at once."""
        self.may_end()
        while tick is not None and self._process.poll() is None:
            tick()
            time.sleep(LOOK_SECONDS)
        return self._process.wait()

    def wait_at_most(self, seconds: float) -> int | None:
        """Return its exit code, None if it has not ended by itself in time."""
        self.may_end()
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def succeed(self, tick: Tick | None = None) -> str:
        """Wait for its end and return its output; StepFailedError unless it succeeded."""
        if self.wait(tick):
            message = f"{self.name}: {self.last_line}"
            raise StepFailedError(message)
        return self.output

    def tell_to_stop(self) -> None:
        """Send SIGTERM, once."""
        self.may_end()
        if not self._told:
            self._told = True
            # Popen itself sends none to a process that has ended.
            self._process.terminate()

    def stop(self) -> None:
        """Stop it, if need be by force, and wait for its end."""
        self.tell_to_stop()
        if self.wait_at_most(STOP_SECONDS) is None:
            self._process.kill()
            self._process.wait()


def _end_with_parent() -> None:
    """Ask for SIGTERM should the demo be killed: nobody else would stop clients that write for ever."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
