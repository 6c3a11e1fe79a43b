"""A drain that finds the source not quiet says which processes have it open."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from cdcsync.edges.holders import PROC, holders

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Cli
    from support.processes import Processes

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="this system does not tell who has a file open")

HOLD = "import sqlite3, sys, time; db = sqlite3.connect(sys.argv[1]); db.execute('BEGIN'); print(db.execute("
HOLD += "'SELECT count(*) FROM sqlite_master').fetchone(), flush=True); time.sleep(600)"


def test_a_process_is_found_by_the_file_whatever_its_name(processes: Processes, source: Path) -> None:
    """Through a link, until it ends; itself and those left out are not; no argument but the script is shown."""
    link = source.with_name("link to it.db")
    link.symlink_to(source)
    holder = processes.start(sys.executable, "-c", HOLD, link, "password=secret")
    holder.wait_for_line("(")
    found = [one for one in holders(source, {os.getpid()}) if one.pid == holder.pid]
    assert len(found) == 1
    assert f"(pid {holder.pid})" in str(found[0])
    assert "python" in found[0].name
    assert "secret" not in found[0].name
    assert holder.pid not in {one.pid for one in holders(source, {holder.pid})}
    holder.kill()
    assert holder.pid not in {one.pid for one in holders(source, set())}


def test_a_drain_that_meets_writes_names_who_has_the_source_open(cli: Cli, processes: Processes, source: Path) -> None:
    """The writer is named, the daemon and the drain itself are not."""
    cli("install")
    daemon = cli.daemon()
    script = source.with_name("shop.py")
    script.write_text(
        "import sqlite3, sys, time\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "print('writing', flush=True)\n"
        "while True:\n    db.execute(\"UPDATE customers SET name = 'x' WHERE id = 1\")\n    time.sleep(0.05)\n"
    )
    writer = processes.start(sys.executable, script, source)
    writer.wait_for_line("writing")
    report = cli("drain", "--json", expect=1).json
    assert not report["quiet"]
    assert report["tables"] == ["customers"]
    assert [name for name in report["holders"] if str(writer.pid) in name]
    assert not [name for name in report["holders"] if str(daemon.pid) in name]
    assert "shop.py (pid" in cli("drain", expect=1).out
    writer.send(signal.SIGTERM)
    daemon.terminate()
