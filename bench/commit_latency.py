"""What a commit of the application takes without cdcsync, with its triggers, and with the daemon streaming.

    python bench/commit_latency.py --directory /srv/app

Three copies of one database take turns: one is never touched, one has the triggers, one has the triggers and a daemon
that follows it into an embedded PostgreSQL. The application is this process: transactions of one row, at a fixed rate
or one upon the other, synchronous=FULL. A ratio is the median over the rounds of p99 over p99 of the untouched copy
in the same round, with the least and the greatest. The last part installs and uninstalls 50 tables beside a writer and
prints how long the write lock was held and how long the writer waited at most.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg

from cdcsync.edges import embedded
from cdcsync.machine.context import Context
from cdcsync.machine.install import install, uninstall
from cdcsync.words.settings import Settings

SIDES = ("plain", "triggers", "streaming")
HISTORY_ROWS = 10_000
INSTALLED_TABLES = 50
TIMEOUT = 5.0
# Writes one row upon the other until its stdin is closed, then tells the longest time one of them took.
WRITER = """
import select, sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=5)
longest = 0.0
while not select.select([sys.stdin], [], [], 0)[0]:
    began = time.perf_counter()
    connection.execute("INSERT INTO t0 (u, v) VALUES (hex(randomblob(16)), 'x')")
    longest = max(longest, time.perf_counter() - began)
print(longest)
"""


def main() -> None:
    """Measure both journal modes, then install."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()), help="where the databases lie")
    parser.add_argument("--rounds", type=int, default=11, help="turns of each copy")
    parser.add_argument("--seconds", type=float, default=2, help="length of a turn")
    parser.add_argument("--rates", type=float, nargs="+", default=[50, 200, 0], help="commits a second, 0: no pause")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cdcsync-bench-", dir=options.directory) as name:
        folder = Path(name)
        with embedded.start(folder / "state") as server:
            for journal in ("wal", "delete"):
                with prepared(folder, server.conninfo, journal) as paths:
                    for rate in options.rates:
                        measure(journal, rate, paths, options.rounds, options.seconds)
            measure_install(folder, server.conninfo, options.rounds)


@contextmanager
def prepared(folder: Path, target: str, journal: str) -> Iterator[dict[str, Path]]:
    """Make the three copies and start the daemon."""
    paths = {side: folder / f"{journal}-{side}.db" for side in SIDES}
    with closing(sqlite3.connect(paths["plain"], isolation_level=None)) as db:
        db.executescript(f"PRAGMA journal_mode = {journal}; CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, v)")
        rows = ((f"u{number}", "x" * 200) for number in range(HISTORY_ROWS))
        db.execute("BEGIN")
        db.executemany("INSERT INTO t (u, v) VALUES (?, ?)", rows)
        db.execute("COMMIT")
    for side in SIDES[1:]:
        shutil.copyfile(paths["plain"], paths[side])
        with Context(settings(folder, target, paths[side], f"{journal}_{side}")) as context:
            install(context)
    daemon = follow(settings(folder, target, paths["streaming"], f"{journal}_streaming"))
    try:
        yield paths
    finally:
        daemon.terminate()
        daemon.wait()


def settings(folder: Path, target: str, source: Path, schema: str) -> Settings:
    """Return the settings for one copy, with a target schema of its own."""
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}".encode())
    return Settings(source=source, target=target, state_dir=folder / "state", schema=schema, log_level="WARNING")


def follow(settings: Settings) -> subprocess.Popen[bytes]:
    """Start a daemon and wait until it streams."""
    environment = {
        **os.environ,
        "CDCSYNC_SOURCE": str(settings.source),
        "CDCSYNC_TARGET": settings.target,
        "CDCSYNC_STATE_DIR": str(settings.state_dir),
        "CDCSYNC_SCHEMA": settings.target_schema,
        "CDCSYNC_LOG_LEVEL": settings.log_level,
    }
    verb = [sys.executable, "-m", "cdcsync"]
    daemon = subprocess.Popen([*verb, "run"], env=environment, stdout=subprocess.DEVNULL)
    while daemon.poll() is None:
        told = subprocess.run([*verb, "status", "--json"], env=environment, check=True, capture_output=True)
        if json.loads(told.stdout)["state"] == "streaming":
            break
        time.sleep(0.2)
    return daemon


def measure(journal: str, rate: float, paths: dict[str, Path], rounds: int, seconds: float) -> None:
    """Let the three copies be written to in turn; print p50, p99 and the ratios."""
    turns: dict[str, list[list[float]]] = {side: [] for side in SIDES}
    for number in range(rounds + 1):
        # Another order in each round: what one turn leaves to the next does not always hit the same copy.
        for side in SIDES[number % 3 :] + SIDES[: number % 3]:
            turns[side].append(commits(paths[side], rate, seconds))
    pace = f"{rate:g}/s" if rate else "no pause"
    print(f"journal_mode={journal}, {pace}, {rounds} rounds of {seconds:g} s")
    for side in SIDES:
        # The first round warms up.
        every = sorted(seconds for turn in turns[side][1:] for seconds in turn)
        ratios = [p99(turn) / p99(plain) for turn, plain in zip(turns[side][1:], turns["plain"][1:], strict=True)]
        print(
            f"  {side:10} p50 {statistics.median(every) * 1e3:7.3f} ms  p99 {p99(every) * 1e3:7.3f} ms  "
            f"longest {every[-1] * 1e3:7.2f} ms  {len(every):7d} commits  "
            f"p99 ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
            flush=True,
        )


def commits(path: Path, rate: float, seconds: float) -> list[float]:
    """Write for a while; return how long each transaction took."""
    taken = []
    with closing(sqlite3.connect(path, timeout=TIMEOUT, isolation_level=None)) as db:
        began = due = time.perf_counter()
        while (now := time.perf_counter()) - began < seconds:
            db.execute("BEGIN IMMEDIATE")
            db.execute("UPDATE t SET v = ? WHERE id = ?", (str(now), len(taken) * 7919 % HISTORY_ROWS + 1))
            db.execute("COMMIT")
            taken.append(time.perf_counter() - now)
            due += 1 / rate if rate else 0.0
            time.sleep(max(0.0, due - time.perf_counter()))
    return taken


def p99(taken: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return sorted(taken)[int(len(taken) * 0.99)]


def measure_install(folder: Path, target: str, rounds: int) -> None:
    """Install and uninstall beside a writer; print what was locked and how long the writer waited."""
    source = folder / "install.db"
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = wal")
        for number in range(INSTALLED_TABLES):
            db.execute(f"CREATE TABLE t{number} (id INTEGER PRIMARY KEY, u TEXT UNIQUE, v)")
    locked: list[float] = []
    freed: list[float] = []
    waited: list[float] = []
    with Context(settings(folder, target, source, "install")) as context:
        for _ in range(rounds):
            writer = subprocess.Popen(
                [sys.executable, "-c", WRITER, source], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            time.sleep(1)
            locked.append(install(context).locked.longest_seconds)
            freed.append(uninstall(context, drop_control=True, source_only=False))
            waited.append(float(writer.communicate()[0]))
            drop_tables(target)
    figures = {"install holds the write lock": locked, "uninstall": freed, "a writer's longest transaction": waited}
    print(f"install of {INSTALLED_TABLES} tables, WAL, {rounds} rounds beside a writer")
    for name, seconds in figures.items():
        print(f"  {name}: median {statistics.median(seconds) * 1e3:.1f} ms, most {max(seconds) * 1e3:.1f} ms")


def drop_tables(target: str) -> None:
    """Make room in the target for the next round."""
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute(b"DROP SCHEMA install CASCADE")
        connection.execute(b"CREATE SCHEMA install")


if __name__ == "__main__":
    main()
