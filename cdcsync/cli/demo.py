"""`cdcsync demo`."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from loguru import logger

from cdcsync.cli import show
from cdcsync.cli.demonstration.interview import DATABASE
from cdcsync.cli.demonstration.outcome import Outcome
from cdcsync.cli.demonstration.own_file import OwnFile
from cdcsync.cli.demonstration.picture import Screen
from cdcsync.cli.demonstration.scenario import Scenario
from cdcsync.cli.demonstration.stage import Stage
from cdcsync.cli.options import JsonOption, with_settings
from cdcsync.words.settings import Loaded

SHOWN_FAULTS = 10


def _command(
    loaded: Loaded,
    *,
    messages: Annotated[int, typer.Option("--messages", min=1, help="Messages in the history.")] = 100_000,
    seconds: Annotated[float, typer.Option("--seconds", min=0, help="Seconds to watch the streaming.")] = 6,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the directory and say where it is.")] = False,
    json: JsonOption = False,
) -> int:
    """Watch an application move to a private PostgreSQL while it is used; with --source, a copy of your own file."""
    # libpq would read them too, and all of this is about a server of our own.
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    logger.remove()
    # Only the option: CDCSYNC_SOURCE or a cdcsync.toml may be there for other reasons.
    own = loaded.origins["source"] == "option"
    name = loaded.settings.source_path.name if own else DATABASE
    with Stage(name, keep=keep) as stage, Screen(stderr=json) as screen:
        outcome = OwnFile(stage, screen, loaded).play() if own else Scenario(stage, screen).play(messages, seconds)
        _report(outcome, screen, json=json)
        if keep:
            screen.verdict(f"Kept: {stage.directory}" + ("" if own else " (cd there: cdcsync status, cdcsync psql)"))
    return 1 if outcome.faults else 0


def _report(outcome: Outcome, screen: Screen, *, json: bool) -> None:
    if json:
        show.as_json(outcome.as_json())
    screen.figures(outcome.table())
    for fault in outcome.faults[:SHOWN_FAULTS]:
        screen.verdict(fault)
    screen.verdict(outcome.verdict)


command = with_settings(_command)
