"""Hooks of a cutover that did not come to its end: whatever one of them began, another gets to undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.pair import Pair

SCHEMA = "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1);"


def _moving(make_pair: Callable[..., Pair], called: Path, **hooks: str) -> Pair:
    """Return a pair that is ready; every hook says that it was called, then does what it is given."""
    names = ("before_fence", "after_handover", "smoke_test", "on_abort", "after_rollback")
    pair = make_pair(SCHEMA, hooks={name: f"echo {name} >> '{called}'; {hooks.get(name, '')}" for name in names})
    pair.install()
    pair.sync()
    pair.verify()
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
