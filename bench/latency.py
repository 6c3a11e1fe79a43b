"""Latency from a commit in SQLite to the row being visible in PostgreSQL, in WAL mode.

    python bench/latency.py --seconds 10

One process writes at a fixed rate; this one polls PostgreSQL as fast as it answers. A row carries the time its
COMMIT returned, so the figure includes everything after it. Prints p50 and p99 for both rates and both settings
of synchronous.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from cdcsync.edges import embedded

QUIET_LOOKS = 1000

WRITER = """
import sqlite3, sys, time
path, synchronous, rate, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
connection = sqlite3.connect(path, isolation_level=None, timeout=5)
connection.execute(f"PRAGMA synchronous = {synchronous}")
began, number = time.time(), 0
while time.time() - began < seconds:
    number += 1
    connection.execute("INSERT INTO t (v) VALUES (?)", ("x" * 200,))
    print(time.time(), flush=True)
    time.sleep(max(0.0, began + number / rate - time.time()))
"""


def main() -> None:
    """Measure the four combinations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    seconds = parser.parse_args().seconds
    for synchronous in ("NORMAL", "FULL"):
        for rate in (200, 1):
            measure(synchronous, rate, seconds if rate > 1 else seconds * 2)


def measure(synchronous: str, rate: float, seconds: float) -> None:
    """Run one combination and print its figures."""
    with (
        tempfile.TemporaryDirectory(prefix="cdcsync-bench-") as folder,
        embedded.start(Path(folder) / "state") as server,
    ):
        source = Path(folder) / "t.db"
        connection = sqlite3.connect(source)
        connection.executescript("PRAGMA journal_mode = wal; CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
        connection.close()
        environment = {
            **os.environ,
            "CDCSYNC_SOURCE": str(source),
            "CDCSYNC_TARGET": "embedded",
            "CDCSYNC_STATE_DIR": str(Path(folder) / "state"),
            "CDCSYNC_LOG_LEVEL": "WARNING",
        }
        daemon = subprocess.Popen(
            [sys.executable, "-m", "cdcsync", "run", "--install"], env=environment, stdout=subprocess.DEVNULL
        )
        time.sleep(3)
        command = [sys.executable, "-c", WRITER, str(source), synchronous, str(rate), str(seconds)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        seen = watch(server, writer)
        committed = [float(line) for line in (writer.communicate()[0] or "").split()]
        daemon.terminate()
        daemon.wait()
        latencies = sorted((seen[number] - at) * 1000 for number, at in enumerate(committed, 1) if number in seen)
    p99 = latencies[int(len(latencies) * 0.99)]
    print(
        f"synchronous={synchronous} {rate:g}/s: {len(latencies)} of {len(committed)} commits, "
        f"p50 {statistics.median(latencies):.1f} ms, p99 {p99:.1f} ms, max {latencies[-1]:.1f} ms"
    )


def watch(server: embedded.EmbeddedServer, writer: subprocess.Popen[str]) -> dict[int, float]:
    """Poll the newest id until the writer has ended and nothing new comes; return when each id was first seen."""
    seen: dict[int, float] = {}
    last, quiet = 0, 0
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        while quiet < QUIET_LOOKS:
            row = connection.execute("SELECT max(id) FROM public.t").fetchone()
            now, newest = time.time(), (row[0] if row else None) or 0
            for number in range(last + 1, newest + 1):
                seen[number] = now
            quiet = quiet + 1 if newest == last and writer.poll() is not None else 0
            last = newest
            time.sleep(0.0005)
    return seen


if __name__ == "__main__":
    main()
