"""The write pause of a cutover under load, and how well it was estimated before.

    python bench/pause.py --messages 1000000 --commits 500 --rounds 5

A writer commits at a fixed rate all the time. Each round waits until the daemon has verified everything, rehearses,
asks `lag`, cuts over and goes back. Prints every round, the steps of the last pause, and medians.

    python bench/pause.py --commits-since 1800000 --rounds 1

The same where the tables were verified as many commits ago (an hour at 500 a second), and not since.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
PRAGMA journal_mode = wal;
CREATE TABLE sessions (id INTEGER PRIMARY KEY, title TEXT, updated_at DATETIME);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, session INT NOT NULL REFERENCES sessions, body TEXT, at DATETIME
);
CREATE INDEX messages_session ON messages (session);
INSERT INTO sessions SELECT value, 'session ' || value, '2025-01-01 00:00:00'
FROM (WITH RECURSIVE g (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM g LIMIT 1000) SELECT value FROM g);
"""
FILL = """
INSERT INTO messages (session, body, at)
SELECT value % 1000 + 1, printf('%0200d', value), '2025-01-01 00:00:00'
FROM (WITH RECURSIVE g (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM g LIMIT ?) SELECT value FROM g)
"""
WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=5)
connection.execute("PRAGMA synchronous = NORMAL")
rate, due, number = float(sys.argv[2]), time.monotonic(), 0
while True:
    number += 1
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO messages (session, body) VALUES (?, ?)", (number % 1000 + 1, "x" * 200))
        connection.execute("UPDATE sessions SET updated_at = datetime() WHERE id = ?", (number % 1000 + 1,))
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        time.sleep(0.05)
    due = max(due + 1 / rate, time.monotonic() - 0.1)
    time.sleep(max(0.0, due - time.monotonic()))
"""
WAIT_SECONDS = 3600.0
NEARLY_CAUGHT_UP = 10_000


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--commits", type=float, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commits-since", type=int, default=0)
    options = parser.parse_args()
    if options.commits_since:
        os.environ["CDCSYNC_VERIFY_ROWS_PER_SECOND"] = "0"
    with tempfile.TemporaryDirectory(prefix="cdcsync-bench-") as name:
        folder = Path(name)
        create(folder / "app.db", options.messages)
        run(folder, "install", "--no-json")
        with started(sys.executable, "-c", WRITER, folder / "app.db", str(options.commits), folder=folder):
            rounds = [measure(folder, options.commits_since) for _ in range(options.rounds)]
    for what in rounds[0]:
        print(f"median {what}: {statistics.median(one[what] for one in rounds):.3f}")


def create(path: Path, messages: int) -> None:
    """Make the source."""
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA)
    connection.execute(FILL, (messages,))
    connection.commit()
    connection.close()


def measure(folder: Path, commits_since: int) -> dict[str, float]:
    """Cut over once and go back."""
    with started(*COMMAND, "run", folder=folder):
        if commits_since:
            write_much(folder, commits_since)
        estimate = wait_for_estimate(folder)
        rehearsed = None
        if not commits_since:
            # It compares all that changed, too.
            rehearsed = run(folder, "cutover", "--rehearse", "--max-pause", "4")["pause_seconds"]
            time.sleep(3)
            estimate = run(folder, "lag")["estimated_pause_seconds"] or estimate
        report = run(folder, "cutover", "--no-backup", "--max-pause", "4")
    run(folder, "rollback")
    if not report["done"]:
        sys.exit(f"not cut over: {report['reason']}")
    pause = report["pause_seconds"]
    found = {
        "pause": pause,
        "lag estimate": estimate,
        "lag estimate / pause": estimate / pause,
        **({} if rehearsed is None else {"rehearsed": rehearsed, "rehearsed / pause": rehearsed / pause}),
        "keys verified": report["verified_keys"],
        "load": os.getloadavg()[0],
    }
    print(", ".join(f"{name} {value:.3f}" for name, value in found.items()))
    print("  steps: " + ", ".join(f"{step['name']} {step['seconds']:.3f}" for step in report["steps"]), flush=True)
    return found


def write_much(folder: Path, commits: int) -> None:
    """Verify, and then commit as fast as it goes until that was as many commits ago."""
    wait_for("streaming", lambda: run(folder, "status")["state"] == "streaming")
    run(folder, "verify")
    # As many entries in transactions of a hundred.
    many = WRITER.replace('execute("COMMIT")', 'execute("COMMIT") if number % 100 == 0 else None').replace(
        'execute("BEGIN IMMEDIATE")', 'execute("BEGIN IMMEDIATE") if not connection.in_transaction else None'
    )
    stop = many.replace("while True:", f"while number < {commits} or connection.in_transaction:")
    subprocess.run([sys.executable, "-c", stop, str(folder / "app.db"), "1000000"], check=True)
    wait_for("caught up", lambda: run(folder, "lag")["pending_changes"] < NEARLY_CAUGHT_UP)


def wait_for(what: str, ask: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not ask():
        if time.monotonic() > deadline:
            sys.exit(f"never {what}")
        time.sleep(1)


def wait_for_estimate(folder: Path) -> float:
    """Wait until a pause can be estimated, which is when every table is copied, followed and proven equal."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        seconds = run(folder, "lag")["estimated_pause_seconds"]
        if seconds is not None:
            return float(seconds)
        time.sleep(1)
    sys.exit("never ready for a cutover")


COMMAND = (sys.executable, "-m", "cdcsync")


def environment(folder: Path) -> dict[str, str]:
    """Return the settings."""
    settings = {"SOURCE": folder / "app.db", "TARGET": "embedded", "STATE_DIR": folder / "state"}
    more = {f"CDCSYNC_{name}": str(value) for name, value in settings.items()}
    return {"CDCSYNC_VERIFY_ROWS_PER_SECOND": "100000", **os.environ, **more, "CDCSYNC_LOG_LEVEL": "WARNING"}


def run(folder: Path, verb: str, *options: str) -> dict[str, Any]:
    """Run a verb to its end; return what it prints as JSON."""
    wanted = () if options == ("--no-json",) else ("--json",)
    given = [option for option in options if option != "--no-json"]
    command = [*COMMAND, verb, *given, *wanted]
    done = subprocess.run(command, env=environment(folder), capture_output=True, text=True, check=False)
    if not wanted:
        return {}
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        sys.exit(f"{verb}: exit {done.returncode}: {done.stderr}")
    return found


@contextmanager
def started(*command: str | Path, folder: Path) -> Iterator[None]:
    """Let a process run during the block."""
    process = subprocess.Popen([str(word) for word in command], env=environment(folder))
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    main()
