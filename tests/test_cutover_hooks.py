"""Hooks of a cutover that did not come to its end: whatever one of them began, another gets to undo."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cdcsync.edges.checkpoint import CheckpointStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.pair import Pair

SCHEMA = "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1);"


def _moving(make_pair: Callable[..., Pair], called: Path, **hooks: str) -> Pair:
    """Return a pair that is ready; every hook says that it was called, then does what it is given."""
    names = ("before_fence", "after_handover", "smoke_test", "on_abort", "after_rollback")
    pair = make_pair(SCHEMA, hooks={name: f"echo {name} >> '{called}'; {hooks.get(name, '')}" for name in names})
    pair.make_ready()
    return pair


def test_a_gate_that_closes_after_before_fence_ran_calls_on_abort(
    make_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    """What before_fence began would otherwise never end: the last gates are asked after it."""
    pair = _moving(make_pair, tmp_path / "called")
    report = pair.cutover(max_pause=0.001)
    assert [refusal.code for refusal in report.refusals] == ["pause_too_long"]
    assert (tmp_path / "called").read_text().split() == ["before_fence", "on_abort"]


def test_a_cutover_that_goes_back_by_itself_calls_after_rollback(
    make_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    """The application was switched to PostgreSQL, which does not take its writes any more."""
    pair = _moving(make_pair, tmp_path / "called", smoke_test="exit 1")
    report = pair.cutover()
    assert not report.done
    called = (tmp_path / "called").read_text().split()
    assert called == ["before_fence", "after_handover", "smoke_test", "after_rollback"]
    pair.write("INSERT INTO t VALUES (2)")


def test_a_cutover_makes_the_folder_its_backup_goes_to_by_default(
    make_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    """The state directory is there only where something was kept in it before."""
    pair = _moving(make_pair, tmp_path / "called")
    backup = pair.settings.state_dir / "backup.db"
    assert not backup.parent.exists()
    assert pair.cutover(backup=backup).done
    assert backup.exists()


def test_a_rehearsal_calls_no_hook(make_pair: Callable[..., Pair], tmp_path: Path) -> None:
    """Also where it is called off."""
    pair = _moving(make_pair, tmp_path / "called")
    pair.write("INSERT INTO t VALUES (2)")
    pair.sync()
    pair.force("DELETE FROM t WHERE id = 2")
    assert pair.cutover(rehearse=True).aborted_at == "catch_up"
    assert not (tmp_path / "called").exists()


def test_a_rehearsal_does_not_go_on_with_a_cutover_that_was_cut(
    make_pair: Callable[..., Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused, before the handover and after it."""
    pair = _moving(make_pair, tmp_path / "called", after_handover="sleep 0.3; kill -INT $PPID; sleep 1")
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "cut_over", _cut)
        with pytest.raises(KeyboardInterrupt):
            pair.cutover()
    assert [refusal.code for refusal in pair.cutover(rehearse=True).refusals] == ["decided"]
    assert pair.target("SELECT state FROM cdcsync.status") == [("fenced",)]
    with pytest.raises(KeyboardInterrupt):
        pair.cutover()
    assert [refusal.code for refusal in pair.cutover(rehearse=True).refusals] == ["decided"]
    assert (tmp_path / "called").read_text().split() == ["before_fence", "after_handover"]


def _cut(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_hook_is_ended(make_pair: Callable[..., Pair], tmp_path: Path) -> None:
    """It must not switch the application while the operator goes back."""
    pair = _moving(
        make_pair, tmp_path / "called", after_handover=f"sleep 0.3; kill -INT $PPID; sleep 1; touch '{tmp_path}/late'"
    )
    with pytest.raises(KeyboardInterrupt):
        pair.cutover()
    assert pair.rollback().done
    time.sleep(1.5)
    assert not (tmp_path / "late").exists()


def test_a_report_that_cannot_be_written_is_a_remark(make_pair: Callable[..., Pair], tmp_path: Path) -> None:
    """The cutover is done all the same."""
    pair = _moving(make_pair, tmp_path / "called")
    pair.settings.state_dir.write_text("a file, not a directory")
    report = pair.cutover()
    assert (report.done, report.report) == (True, None)
    assert any("the report could not be written" in remark for remark in report.remarks)


def test_a_folder_for_the_backup_that_cannot_be_made_calls_it_off(
    make_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    """With a reason, and SQLite in charge."""
    pair = _moving(make_pair, tmp_path / "called")
    pair.settings.state_dir.write_text("a file, not a directory")
    report = pair.cutover(backup=tmp_path / "backup.db")
    assert (report.done, report.aborted_at) == (False, "backup")
    assert "the application goes on with SQLite" in str(report.reason)
