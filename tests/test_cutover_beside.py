"""A second operator's verb beside a cutover: it waits or is refused, and undoes nothing of it."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support.waiting import wait_until

from cdcsync.machine import cutover as cutover_module
from cdcsync.machine import proof
from cdcsync.machine import session as session_module
from cdcsync.machine.context import Context
from cdcsync.machine.install import uninstall
from cdcsync.machine.sweep import Sweeper
from cdcsync.words.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.pair import Pair

    Make = Callable[..., Pair]

SCHEMA = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a');"


def _ready(make_pair: Make, **settings: object) -> Pair:
    made = make_pair(SCHEMA, **settings)
    made.make_ready()
    return made


@contextmanager
def _in_the_pause(monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> Iterator[None]:
    """Let `work` be done while the fence is up and nothing is decided."""
    real = cutover_module._drain_and_prove  # noqa: SLF001  the pause

    def told(*arguments: Any) -> None:
        work()
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(cutover_module, "_drain_and_prove", told)
        yield


def test_an_uninstall_that_waited_for_the_pause_keeps_the_fence(
    make_pair: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was none when it was asked for; dropped, both sides would accept writes."""
    pair = _ready(make_pair)

    def free_the_source() -> None:
        with Context(pair.settings) as context:
            uninstall(context, drop_control=False, source_only=True)

    waiting = threading.Thread(target=free_the_source)

    def begin() -> None:
        waiting.start()
        time.sleep(0.3)

    with _in_the_pause(monkeypatch, begin):
        assert pair.cutover().done
    waiting.join()
    assert pair.source("SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB '_cdcsync_*'") == []
    pair.reopen()
    with pytest.raises(sqlite3.OperationalError, match="moved to PostgreSQL"):
        pair.application.execute("DELETE FROM t")


def test_an_uninstall_beside_a_cutover_is_refused(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take the guard off a target that is not handed over."""
    pair = _ready(make_pair)

    def free_both() -> None:
        with pytest.raises(RefusedError, match="cdcsync cutover is working on this source"):
            pair.uninstall()

    with _in_the_pause(monkeypatch, free_both):
        assert pair.cutover().done


def test_a_second_cutover_in_the_pause_calls_no_hook(
    make_pair: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """on_abort would start the application anew while the first one decides."""
    monkeypatch.setattr(session_module, "TAKEOVER_SECONDS", 0.2)
    called = tmp_path / "called"
    hooks = {name: f"echo {name} >> '{called}'" for name in ("before_fence", "on_abort")}
    pair = _ready(make_pair, hooks=hooks)

    def another() -> None:
        with pytest.raises(RefusedError, match="cdcsync cutover is working on this source"):
            pair.cutover()
        with pytest.raises(RefusedError, match="nothing was handed over"):
            pair.rollback()

    with _in_the_pause(monkeypatch, another):
        assert pair.cutover().done
    assert called.read_text().split() == ["before_fence"]


def test_beside_a_cutover_in_its_hook_nobody_runs_it_again_or_goes_back(
    make_pair: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint is nobody's by then; both are told who is at work."""
    monkeypatch.setattr(session_module, "TAKEOVER_SECONDS", 0.2)
    called, go_on = tmp_path / "called", tmp_path / "go on"
    pair = _ready(
        make_pair,
        hooks={"after_handover": f"echo began >> '{called}'; while ! test -e '{go_on}'; do sleep 0.05; done"},
    )
    first = threading.Thread(target=pair.cutover)
    first.start()
    wait_until(called.exists, "the hook")
    for verb in (pair.cutover, pair.rollback):
        with pytest.raises(RefusedError, match="cdcsync cutover is working on this source"):
            verb()
    go_on.touch()
    first.join()
    assert pair.cutover().done
    assert called.read_text().split() == ["began"]
    assert pair.rollback().done


def test_a_table_created_in_the_last_moment_is_remarked(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """No trigger stops that, and its rows stay in SQLite."""
    pair = _ready(make_pair)
    real = cutover_module.fence

    def late(*arguments: Any) -> object:
        pair.application.execute("CREATE TABLE late (id INTEGER PRIMARY KEY)")
        return real(*arguments)

    monkeypatch.setattr(cutover_module, "fence", late)
    report = pair.cutover()
    assert report.done
    assert any("table late was created since install" in remark for remark in report.remarks)


def test_a_difference_found_in_the_last_moment_calls_it_off(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's background verification compared the key, so that the cutover does not look at it again."""
    pair = _ready(make_pair)
    pair.write("UPDATE t SET v = 'b'")
    pair.sync()
    real = cutover_module.fence

    def late(*arguments: Any) -> object:
        pair.force("UPDATE t SET v = 'wrong'")
        with Context(pair.settings) as context:
            sweeper = Sweeper(context)
            sweeper.turn()
            sweeper.close()
        return real(*arguments)

    # The first comparison, without a pause, would see it before the daemon does.
    looked: list[bool] = []
    compare = proof.verify_changed

    def in_the_pause(*arguments: Any) -> int:
        looked.append(True)
        return 0 if len(looked) == 1 else compare(*arguments)

    monkeypatch.setattr(proof, "verify_changed", in_the_pause)
    monkeypatch.setattr(cutover_module, "fence", late)
    report = pair.cutover()
    assert (report.done, report.aborted_at) == (False, "verify")
    assert "tables differ: t; cdcsync verify --repair" in str(report.reason)
