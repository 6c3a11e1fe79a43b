"""`cdcsync demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from cdcsync.cli.options import JsonOption, with_settings
from cdcsync.words.settings import Loaded


def _command(
    loaded: Loaded,
    *,
    messages: Annotated[int, typer.Option("--messages", min=1, help="Messages in the history.")] = 100_000,
    seconds: Annotated[float, typer.Option("--seconds", min=0, help="Seconds to watch the streaming.")] = 6,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the directory and say where it is.")] = False,
    json: JsonOption = False,
) -> int:
    """Watch an application move to a private PostgreSQL while it is used; with --source, a copy of your own file."""
    # Here, so that no other verb takes the time to load it: drain's start is part of a write pause.
    from cdcsync.cli.demonstration.performance import perform  # noqa: PLC0415

    return perform(loaded, messages=messages, seconds=seconds, keep=keep, json=json)


command = with_settings(_command)
