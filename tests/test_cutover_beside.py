"""A second operator's verb beside a cutover: it waits or is refused, and undoes nothing of it."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from cdcsync.machine import cutover as cutover_module
from cdcsync.machine.context import Context
from cdcsync.machine.install import uninstall
from cdcsync.words.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.pair import Pair

    Make = Callable[..., Pair]

SCHEMA = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a');"


def _ready(make_pair: Make, **settings: object) -> Pair:
    made = make_pair(SCHEMA, **settings)
    made.install()
    made.sync()
    made.verify()
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
