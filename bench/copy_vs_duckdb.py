"""Copy speed and memory against DuckDB's insert of the same rows, in turn, on one embedded PostgreSQL.

    python bench/copy_vs_duckdb.py --messages 1000000 --rounds 3

Needs `pip install duckdb==1.5.5 duckdb-extension-sqlite-scanner duckdb-extension-postgres-scanner psutil`.
Prints each round and the median of the ratios. Both fill the same tables, with their primary keys in place.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import duckdb
import psutil
import psycopg
from psycopg.conninfo import conninfo_to_dict

from cdcsync.edges import embedded
from cdcsync.edges.statements import shipped

INTERVIEW = shipped("examples", "interview")

# What each column becomes; DuckDB is given the same work.
SELECTS = {
    "sessions": "id::UUID, created_at::TIMESTAMPTZ, updated_at::TIMESTAMPTZ, summary",
    "messages": "id, session_id::UUID, role, text, created_at::TIMESTAMPTZ",
    "drafts": "id, session_id::UUID, content, created_at::TIMESTAMPTZ",
}


SECONDARY_INDEXES = """
    SELECT indexrelid::regclass::text FROM pg_index
    WHERE indrelid::regclass::text IN ('sessions', 'messages', 'drafts') AND NOT indisprimary
"""


def main() -> None:
    """Run the rounds and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--source", type=Path, help="an interview database made before")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cdcsync-bench-") as folder:
        source = arguments.source or Path(folder) / "history.db"
        if arguments.source is None:
            history(source, arguments.messages)
        with embedded.start(Path(folder) / "state") as server:
            ratios = [one_round(source, Path(folder), server) for _ in range(arguments.rounds)]
    print(f"ratio cdcsync / DuckDB: median {statistics.median(ratios):.2f} of {sorted(round(r, 2) for r in ratios)}")


def history(path: Path, messages: int) -> None:
    """Make a database with the example's own generator."""
    command = [sys.executable, str(INTERVIEW / "history.py"), "--db", str(path), "--messages", str(messages)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def one_round(source: Path, folder: Path, server: embedded.EmbeddedServer) -> float:
    """Copy with cdcsync, then with DuckDB; return the ratio of the seconds."""
    ours, peak = with_cdcsync(source, folder)
    theirs = with_duckdb(source, server)
    print(f"cdcsync {ours:.2f} s, peak {peak / 2**20:.0f} MiB PSS; DuckDB {theirs:.2f} s; ratio {ours / theirs:.2f}")
    return ours / theirs


def with_cdcsync(source: Path, folder: Path) -> tuple[float, int]:
    """Return copy_seconds and the greatest PSS of the process, in bytes."""
    copy = folder / "copy.db"
    shutil.copy(source, copy)
    environment = {
        **os.environ,
        "CDCSYNC_SOURCE": str(copy),
        "CDCSYNC_TARGET": "embedded",
        "CDCSYNC_STATE_DIR": str(folder / "state"),
        "CDCSYNC_LOG_LEVEL": "WARNING",
    }
    mapping = folder / "cdcsync.toml"
    lines = (INTERVIEW / "cdcsync.toml").read_text().splitlines()
    mapping.write_text("\n".join(line for line in lines if not line.startswith(("source", "target ="))))
    verb = [sys.executable, "-m", "cdcsync"]
    settings = ["--config", str(mapping)]
    subprocess.run([*verb, "install", *settings], env=environment, check=True, stdout=subprocess.DEVNULL)
    process = subprocess.Popen(
        [*verb, "run", "--once", "--json", *settings], env=environment, stdout=subprocess.PIPE, text=True
    )
    peak = [0]
    watcher = threading.Thread(target=watch, args=(process.pid, peak))
    watcher.start()
    answer, _ = process.communicate()
    watcher.join()
    subprocess.run([*verb, "uninstall", *settings], env=environment, check=True, stdout=subprocess.DEVNULL)
    for left in folder.glob("copy.db*"):
        left.unlink()
    return float(json.loads(answer)["copy_seconds"]), peak[0]


def watch(pid: int, peak: list[int]) -> None:
    """Sample the memory of one process until it ends."""
    try:
        process = psutil.Process(pid)
        while process.status() != psutil.STATUS_ZOMBIE:
            peak[0] = max(peak[0], process.memory_full_info().pss)
            time.sleep(0.05)
    except psutil.Error:
        return


def with_duckdb(source: Path, server: embedded.EmbeddedServer) -> float:
    """Return the seconds DuckDB takes to insert all rows."""
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        # The tables cdcsync has just filled, without the indexes it adds after the copy.
        for name in [row[0] for row in connection.execute(SECONDARY_INDEXES)]:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("TRUNCATE sessions, messages, drafts")
    database = duckdb.connect(config={"custom_extension_repository": "", "autoinstall_known_extensions": "false"})
    for name in ("sqlite_scanner", "postgres_scanner"):
        database.load_extension(str(extension(name)))
    database.execute("SET TimeZone = 'UTC'")
    database.execute(f"ATTACH '{source}' AS source (TYPE sqlite, READ_ONLY)")
    conninfo = " ".join(f"{key}={value}" for key, value in conninfo_to_dict(server.conninfo).items() if value)
    database.execute(f"ATTACH '{conninfo}' AS target (TYPE postgres)")
    began = time.perf_counter()
    for table, columns in SELECTS.items():
        database.execute(f"INSERT INTO target.public.{table} SELECT {columns} FROM source.{table}")
    seconds = time.perf_counter() - began
    database.close()
    drop(server)
    return seconds


def extension(name: str) -> Path:
    """Return the path of an extension that came as a package: nothing is downloaded."""
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    assert found is not None
    folder = (
        Path(found.origin or "").parent if found.origin else Path(next(iter(found.submodule_search_locations or [])))
    )
    return next(folder.rglob("*.duckdb_extension"))


def drop(server: embedded.EmbeddedServer) -> None:
    """Make room for the next round."""
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS sessions, messages, drafts")


if __name__ == "__main__":
    main()
