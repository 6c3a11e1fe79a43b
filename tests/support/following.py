"""A stream in a thread beside the test, as a daemon would be: it applies whatever the application writes."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cdcsync.machine.context import Context
from cdcsync.machine.session import Session
from cdcsync.machine.sync import Sync

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.pair import Pair

END_SECONDS = 60.0


@contextmanager
def following(pair: Pair) -> Iterator[None]:
    """Apply during the block, and then all that is left; fails the test if that failed."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def follow() -> None:
        try:
            with Context(pair.settings) as context, Session(context) as session:
                session.take("daemon")
                session.prepare()
                sync = Sync(session)
                while not stop.is_set() or not sync.cycle().is_empty:
                    sync.cycle()
        except BaseException as error:  # noqa: BLE001  shown by the test
            failures.append(error)

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        yield
    finally:
        stop.set()
        follower.join(END_SECONDS)
    assert failures == []
