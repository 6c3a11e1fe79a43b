"""`cdcsync demo`."""

from __future__ import annotations

from cdcsync.cli.options import with_settings
from cdcsync.words.settings import Loaded


def _command(loaded: Loaded) -> int:
    """Watch an application move."""
    del loaded
    return 0


command = with_settings(_command)
