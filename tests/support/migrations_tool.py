"""The process of a migration tool: it runs the steps whose names a test appends to a file, as they come.

Each step is answered by a line of JSON on stdout: its name, when it began and ended (seconds since 1970), and how
often it had to be run again because the database was locked.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOOK_SECONDS = 0.005
TRYING_SECONDS = 120.0
"""How long a step is run again: the slower the machine, the more often another commit comes before its first write."""

SLOW_SECONDS = 7.0
"""What the copy of a large table may take: longer than a new table has to be there before it is captured."""


def serve(commands: Path, run: Callable[[str], None]) -> None:
    """Run every step that is asked for, until the process is killed."""
    _say({"step": "ready"})
    for name in _asked_for(commands):
        began, retries = time.time(), 0
        while True:
            try:
                run(name)
                break
            # Each tool has its own class for it; another error is the end of the process, with its traceback.
            except Exception as error:
                if "database is locked" not in str(error) or time.time() - began > TRYING_SECONDS:
                    raise
                retries += 1
        _say({"step": name, "began": began, "ended": time.time(), "retries": retries})


def copy_slowly(statement: str) -> None:
    """Let it take long until the statement that drops the copied table."""
    if statement.lstrip().startswith("DROP TABLE"):
        time.sleep(SLOW_SECONDS)


def _asked_for(commands: Path) -> Iterator[str]:
    with commands.open(encoding="utf-8") as lines:
        while True:
            if line := lines.readline():
                yield line.strip()
            else:
                time.sleep(LOOK_SECONDS)


def _say(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
