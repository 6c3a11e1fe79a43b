"""One evening: choose the play, give it stage and screen, print what came of it."""

from __future__ import annotations

import os

from loguru import logger

from cdcsync.cli import show
from cdcsync.cli.demonstration.interview import DATABASE
from cdcsync.cli.demonstration.outcome import Outcome
from cdcsync.cli.demonstration.own_file import OwnFile
from cdcsync.cli.demonstration.picture import Screen
from cdcsync.cli.demonstration.scenario import Scenario
from cdcsync.cli.demonstration.stage import Stage
from cdcsync.words.settings import Loaded

SHOWN_FAULTS = 10


def perform(loaded: Loaded, *, messages: int, seconds: float, keep: bool, json: bool) -> int:
    """Play the demo and return its exit code: 0 only if every acknowledged write is in PostgreSQL."""
    # libpq would read them too, and all of this is about a server of our own.
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    logger.remove()
    # Only the option: CDCSYNC_SOURCE or a cdcsync.toml may be there for other reasons.
    own = loaded.origins["source"] == "option"
    name = loaded.settings.source_path.name if own else DATABASE
    with Stage(name, keep=keep) as stage, Screen(stderr=json) as screen:
        outcome = OwnFile(stage, screen, loaded).play() if own else Scenario(stage, screen).play(messages, seconds)
        if json:
            show.as_json(outcome.as_json())
        _print(outcome, screen)
        if keep:
            screen.verdict(f"Kept: {stage.directory}" + ("" if own else " (cd there: cdcsync status, cdcsync psql)"))
    return 1 if outcome.faults else 0


def _print(outcome: Outcome, screen: Screen) -> None:
    screen.figures(outcome.table())
    for fault in outcome.faults[:SHOWN_FAULTS]:
        screen.verdict(fault)
    screen.verdict(outcome.verdict)
