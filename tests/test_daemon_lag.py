"""`lag`, `status` and the JSON of every verb: what monitoring relies on."""

from __future__ import annotations

import re
import socket
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from support import shop
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Cli

NAGIOS = re.compile(
    r"CDCSYNC (OK|WARNING|CRITICAL) - \d+ changes, [\d.]+ s.* \| pending=\d+;\d+;\d+;0; lag=[\d.]+s;[\d.]+;[\d.]+;0;\n"
)
OPTIONAL_NUMBER = (int, float, type(None))
# What outside scripts may rely on, by verb: key -> types.
STATUS = {
    "state": str,
    "source": str,
    "epoch": str,
    "head_seq": int,
    "applied_seq": int,
    "consistent_seq": (int, type(None)),
    "pending_changes": int,
    "lag_seconds": float,
    "estimated_drain_seconds": OPTIONAL_NUMBER,
    "estimated_pause_seconds": OPTIONAL_NUMBER,
    "daemon": dict,
    "quarantined": int,
    "drift": list,
    "changelog_bytes": (int, type(None)),
    "wal_bytes": int,
    "verified": dict,
    "tables": list,
    "last_errors": list,
}
LAG = {
    "status": str,
    "message": str,
    "state": str,
    "pending_changes": int,
    "lag_seconds": float,
    "estimated_drain_seconds": OPTIONAL_NUMBER,
    "estimated_pause_seconds": OPTIONAL_NUMBER,
    "head_seq": int,
    "applied_seq": int,
    "daemon_running": bool,
    "quarantined": int,
}
CHECK = {"ready": bool, "findings": list}
FINDING = {
    "severity": str,
    "code": str,
    "table": (str, type(None)),
    "column": (str, type(None)),
    "count": (int, type(None)),
    "sample_keys": list,
    "message": str,
    "fix": str,
}
ONCE = {"rows": int, "copy_seconds": float, "catch_up_seconds": float, "applied_seq": int, "quarantined": int}
VERIFY = {
    "equal": bool,
    "seq": int,
    "rows_compared": int,
    "quarantined": int,
    "differences": list,
    "tables": list,
}
DRAIN = {
    "drained": bool,
    "quiet": bool,
    "handed_over": bool,
    "applied_seq": int,
    "new_changes": int,
    "tables": list,
    "seconds": float,
}


def _assert_shape(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """At least the promised keys, each of a promised type; a bool is no number."""
    for key, kinds in expected.items():
        assert key in found, f"{key} is missing"
        value = found[key]
        assert isinstance(value, kinds), f"{key} is {value!r}"
        assert isinstance(value, bool) == (kinds is bool), f"{key} is {value!r}"


def _nobody_there() -> dict[str, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return {"PGPORT": str(probe.getsockname()[1])}


def _write(source: Path, rows: int) -> None:
    with closing(shop.open_as_application(source)) as db:
        db.execute("BEGIN")
        for number in range(rows):
            db.execute("INSERT INTO prices VALUES ('lag', ?, 1)", (number,))
        db.execute("COMMIT")


def test_json_of_every_verb_has_the_promised_keys(cli: Cli, source: Path) -> None:
    """Keys and types are as documented, before and after each step of a move."""
    findings = cli("check", "--json").json
    _assert_shape(findings, CHECK)
    for finding in findings["findings"]:
        _assert_shape(finding, FINDING)
    assert cli("status", "--json", expect=1).json["state"] is None
    cli("install")
    installed = cli("status", "--json").json
    _assert_shape(installed, STATUS)
    assert installed["state"] == "installed"
    assert installed["consistent_seq"] is None
    _assert_shape(cli("run", "--once", "--json").json, ONCE)
    _write(source, 3)
    _assert_shape(cli("lag", "--json", expect=1).json, LAG)
    daemon = cli.daemon()
    streaming = wait_until(lambda: _settled(cli), "the status of a caught-up daemon")
    _assert_shape(streaming, STATUS)
    assert streaming["daemon"]["running"] is True
    assert streaming["daemon"]["pid"] == daemon.pid
    assert isinstance(streaming["daemon"]["heartbeat_age_seconds"], float)
    assert streaming["verified"].keys() >= {"seq", "tables"}
    assert {table["name"] for table in streaming["tables"]} == {"customers", "orders", "lines", "prices"}
    for table in streaming["tables"]:
        _assert_shape(table, {"name": str, "state": str, "rows_copied": int, "rows_total": int})
    verified = cli("verify", "--json").json
    _assert_shape(verified, VERIFY)
    for table in verified["tables"]:
        _assert_shape(table, {"name": str, "rows_source": int, "rows_target": int, "differences": int})
    _assert_shape(cli("drain", "--handover", "--quiet-seconds", "0.1", "--json").json, DRAIN)
    assert cli("status", "--json").json["state"] == "cut_over"


def _settled(cli: Cli) -> dict[str, Any] | None:
    found = cli("status", "--json").json
    return found if found["pending_changes"] == 0 and found["applied_seq"] == found["head_seq"] else None


@pytest.mark.usefixtures("source")
def test_times_in_errors_are_rfc_3339_in_utc(cli: Cli) -> None:
    """Whatever the zone of the server, `last_errors` begin with a time in UTC."""
    cli("install")
    with (cli.cwd / "cdcsync.toml").open("a") as settings:
        settings.write('[tables.prices]\ntarget = "elsewhere"\n')
    cli("run", "--once", expect=3)
    (error,) = cli("status", "--json").json["last_errors"]
    moment = error.split(" ")[0]
    assert moment.endswith("Z")
    assert datetime.fromisoformat(moment).tzinfo is not None


def test_lag_crosses_its_thresholds_with_the_daemon_dead(cli: Cli, source: Path) -> None:
    """A dead daemon is at least WARNING; changes and seconds above a limit are 1 and 2; the figures are true."""
    cli("install")
    cli("run", "--once")
    assert cli("lag", expect=1).out.startswith("CDCSYNC WARNING - 0 changes")
    _write(source, 20)
    for options, code in (
        (("--warn-changes", "10", "--crit-changes", "1000"), 1),
        (("--warn-changes", "10", "--crit-changes", "20"), 2),
        (("--warn-seconds", "0.001", "--crit-seconds", "1000"), 1),
        (("--warn-seconds", "0.0001", "--crit-seconds", "0.001"), 2),
    ):
        result = cli("lag", *options, expect=code)
        assert NAGIOS.fullmatch(result.out), result.out
    found = cli("lag", "--json", expect=1).json
    assert found["pending_changes"] == 20
    assert found["lag_seconds"] > 0
    assert found["daemon_running"] is False
    assert found["status"] == "WARNING"


def test_lag_is_ok_while_streaming_and_warns_at_once_when_the_daemon_is_killed(cli: Cli, source: Path) -> None:
    """SIGKILL of the daemon shows in the next `lag`, not when its heartbeat has grown old."""
    assert source.exists()
    cli("install")
    daemon = cli.daemon()
    healthy = cli("lag")
    assert NAGIOS.fullmatch(healthy.out), healthy.out
    assert healthy.out.startswith("CDCSYNC OK - 0 changes, 0.0 s | ")
    daemon.kill()
    assert "daemon not running" in cli("lag", expect=1).out
    assert cli("status", "--json").json["daemon"]["running"] is False
    assert cli("status", "--json").json["state"] == "streaming"


@pytest.mark.parametrize("what", ["lag", "status", "verify"])
def test_question_that_postgres_cannot_answer_is_unknown(cli: Cli, source: Path, what: str) -> None:
    """With PostgreSQL down `lag` is one UNKNOWN line, `status` and `verify` one line on stderr; exit 3."""
    assert source.exists()
    cli("install")
    result = cli(what, expect=3, environment=_nobody_there())
    said = result.out if what == "lag" else result.err
    assert len(said.splitlines()) == 1
    assert said.startswith("CDCSYNC UNKNOWN - " if what == "lag" else "cdcsync: ")
    if what == "lag":
        found = cli(what, "--json", expect=3, environment=_nobody_there()).json
        assert found["status"] == "UNKNOWN"
        assert found.keys() >= LAG.keys()
        assert found["pending_changes"] is None


def test_lag_of_an_unusable_or_uninstalled_source_is_unknown(cli: Cli, source: Path) -> None:
    """A missing file, a faulty option or setting, and a source that is not installed are all exit 3, one line."""
    mistakes = (("--source", "missing.db"), ("--pol-seconds", "1"), ("--poll-seconds", "x"), ("--config", "no"))
    for arguments in ((), *mistakes):
        result = cli("lag", *arguments, expect=3)
        assert len((result.out + result.err).splitlines()) == 1, result
    assert source.exists()
