"""Cutovers with a bug planted in them: what the other tests of cutovers look at finds each one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support.sides import SCHEMA, Sides

from cdcsync.edges.fence import Fence
from cdcsync.machine import cutover as cutover_module
from cdcsync.machine import forward, handover, proof
from cdcsync.machine.hooks import run_hook
from cdcsync.words.errors import RefusedError
from cdcsync.words.settings import Hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.pair import Pair
    from support.processes import Processes

    from cdcsync.machine.session import Session

LONGEST = 5.0


@pytest.fixture
def pair(make_pair: Callable[..., Pair]) -> Pair:
    """A source that can be cut over at once."""
    made = make_pair(SCHEMA)
    made.write("INSERT INTO entries VALUES ('first', 'nobody', 'a'), ('second', 'nobody', 'b')")
    made.make_ready()
    return made


@pytest.mark.parametrize("planted", [False, True])
def test_a_fence_taken_after_the_last_drain_loses_writes_that_the_ledgers_show(
    pair: Pair, processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, planted: bool
) -> None:
    """What was acknowledged between the two is on neither side."""
    sides = Sides(pair.path, pair.database, tmp_path)
    sides.start(processes)
    if planted:
        _plant_late_fence(sides, monkeypatch)
    assert pair.cutover().done
    if planted:
        with pytest.raises(AssertionError):
            sides.assert_moved()
    else:
        sides.assert_moved()
    sides.assert_nobody_harmed(LONGEST)
    sides.stop()


def _plant_late_fence(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    real = cutover_module.fence

    @contextmanager
    def late(*arguments: Any) -> Iterator[Fence]:
        sides.wait_for_writes("sqlite")
        with real(*arguments) as held:
            yield held

    monkeypatch.setattr(cutover_module, "fence", late)
    monkeypatch.setattr(cutover_module, "_drain_and_prove", lambda session, *_: handover.complete(session))


@pytest.mark.parametrize("planted", [False, True])
def test_counts_compared_instead_of_rows_hand_over_a_wrong_row(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, *, planted: bool
) -> None:
    """As many rows on both sides, and one of them is another one."""
    pair.write("UPDATE entries SET text = 'right' WHERE id = 'first'")
    pair.sync()
    pair.force("UPDATE entries SET text = 'wrong' WHERE id = 'first'")
    if planted:
        monkeypatch.setattr(proof, "verify_changed", _compare_counts)
    report = pair.cutover()
    assert report.done == planted
    assert ("the target differs, in table entries, key first" in str(report.reason)) != planted


def _compare_counts(session: Session, *_: object) -> int:
    for number, writer in session.writers.items():
        with session.source.reading():
            assert session.count_source(number) == writer.count(session.target)
    return 0


@pytest.mark.parametrize("planted", [False, True])
def test_a_hook_run_before_the_commit_of_the_handover_finds_postgresql_guarded(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, *, planted: bool
) -> None:
    """A restarted application would meet errors, or write where nothing is decided."""
    write = f"{pair.psql()} -c \"INSERT INTO entries VALUES ('new', 'hook', 'c')\""
    pair.change_settings(hooks=Hooks(after_handover=write), hook_timeout_seconds=3.0)
    if planted:
        real = handover.hand_over

        def early(session: Session, decide: Callable[[], None]) -> object:
            def hasty() -> None:
                decide()
                run_hook(session, "after_handover", "cut_over")

            return real(session, hasty)

        monkeypatch.setattr(forward.handover, "hand_over", early)
    report = pair.cutover()
    assert report.done != planted
    assert (pair.target("SELECT count(*) FROM entries WHERE id = 'new'") == [(1,)]) != planted


@pytest.mark.parametrize("planted", [False, True])
def test_a_guard_left_off_by_a_cutover_that_was_called_off_lets_both_sides_accept_writes(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, *, planted: bool
) -> None:
    """SQLite goes on, so PostgreSQL must refuse."""

    def fail(_: Fence) -> None:
        message = "called off"
        raise RefusedError(message)

    stop_clock = Fence.stop_clock

    def forget(self: Fence) -> None:
        stop_clock(self)
        pair.force("UPDATE cdcsync.checkpoint SET guarded = false")

    monkeypatch.setattr(Fence, "make_permanent", fail)
    if planted:
        monkeypatch.setattr(Fence, "stop_clock", forget)
    assert not pair.cutover().done
    pair.write("INSERT INTO entries VALUES ('third', 'nobody', 'c')")
    if planted:
        pair.execute("INSERT INTO entries VALUES ('there', 'nobody', 'd')")
    else:
        with pytest.raises(psycopg.Error, match="is being filled"):
            pair.execute("INSERT INTO entries VALUES ('there', 'nobody', 'd')")


@pytest.mark.parametrize("planted", [False, True])
def test_a_guard_left_off_by_a_rollback_keeps_clients_on_a_side_that_is_given_up(
    pair: Pair, processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, planted: bool
) -> None:
    """They have to come back to SQLite, and no write of theirs may be lost by that."""
    sides = Sides(pair.path, pair.database, tmp_path)
    sides.start(processes)
    assert pair.cutover().done
    sides.assert_moved()
    if planted:
        monkeypatch.setattr("cdcsync.edges.checkpoint.CheckpointStore.guard_again", lambda *_: None)
        sides.patience = 2.0
    assert pair.rollback(discard=True).done
    if planted:
        with pytest.raises(AssertionError):
            sides.assert_back()
    else:
        sides.assert_back()
    sides.stop()
