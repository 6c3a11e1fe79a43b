"""The operator's commands around a cutover."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress

from loguru import logger

from cdcsync.edges.source import Source
from cdcsync.edges.target import conninfo_parts
from cdcsync.machine.context import Installation
from cdcsync.machine.session import Session
from cdcsync.words.errors import HookError
from cdcsync.words.settings import Settings

LOGGED_CHARACTERS = 2000

_CONNINFO = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname"}


def run_hook(session: Session, name: str, state: str, pause_seconds: float | None = None) -> None:
    """Run the hook of this name, if there is one.

    It sees where the move stands in CDCSYNC_HOOK_* and the target in PG*, never a password. Raises HookError where it
    fails or takes longer than hook_timeout_seconds; what it started is then ended.
    """
    position = session.checkpoint.position
    told = {
        "CDCSYNC_HOOK_EPOCH": position.epoch,
        "CDCSYNC_HOOK_SEQ": str(position.seq),
        "CDCSYNC_HOOK_PAUSE_SECONDS": "" if pause_seconds is None else f"{pause_seconds:.3f}",
        "CDCSYNC_SOURCE": str(session.source.path),
        **session.target.environment(),
    }
    _run(session.settings, name, state, told)


def run_hook_alone(settings: Settings, source: Source, name: str, state: str) -> None:
    """Run the hook of this name, if there is one, where PostgreSQL cannot be asked. Raises what `run_hook` does."""
    target = {name: str(value) for name, value in conninfo_parts(settings.target).items()}
    told = {
        "CDCSYNC_HOOK_EPOCH": Installation(source).epoch,
        "CDCSYNC_HOOK_SEQ": str(source.ask("head")),
        "CDCSYNC_HOOK_PAUSE_SECONDS": "",
        "CDCSYNC_SOURCE": str(source.path),
        **{variable: target[word] for variable, word in _CONNINFO.items() if word in target},
    }
    _run(settings, name, state, told)


def _run(settings: Settings, name: str, state: str, told: Mapping[str, str]) -> None:
    command, seconds = getattr(settings.hooks, name), settings.hook_timeout_seconds
    if command is None:
        return
    logger.info("hook {}: {}", name, command)
    # The operator's own command, in the shell they wrote it for; a session of its own, so that all of it can be ended.
    with subprocess.Popen(  # noqa: S602
        command,
        shell=True,
        env={**os.environ, **told, "CDCSYNC_HOOK_STATE": state},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        errors="replace",
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                # Interrupted, it must not go on beside whatever is run next.
                raise
            message = f"hook {name} took longer than {seconds:g} s (hook_timeout_seconds) and was ended: {command}"
            raise HookError(message) from None
    if said := output.strip():
        logger.info("hook {} said: {}", name, said[-LOGGED_CHARACTERS:])
    if process.returncode:
        last = said.rpartition("\n")[2]
        message = f"hook {name} failed with exit code {process.returncode}{f': {last}' if last else ''}"
        raise HookError(message)
