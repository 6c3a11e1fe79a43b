"""The operator's commands around a cutover."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress

from loguru import logger

from cdcsync.machine.session import Session
from cdcsync.words.errors import HookError

LOGGED_CHARACTERS = 2000


def run_hook(session: Session, name: str, state: str, pause_seconds: float | None = None) -> bool:
    """Run the hook of this name; return whether there is one.

    It sees where the move stands in CDCSYNC_HOOK_* and the target in PG*, never a password. Raises HookError where it
    fails or takes longer than hook_timeout_seconds; what it started is then ended.
    """
    command = getattr(session.settings.hooks, name)
    if command is None:
        return False
    position = session.checkpoint.position
    told = {
        "CDCSYNC_HOOK_STATE": state,
        "CDCSYNC_HOOK_EPOCH": position.epoch,
        "CDCSYNC_HOOK_SEQ": str(position.seq),
        "CDCSYNC_HOOK_PAUSE_SECONDS": "" if pause_seconds is None else f"{pause_seconds:.3f}",
        "CDCSYNC_SOURCE": str(session.source.path),
        **session.target.environment(),
    }
    logger.info("hook {}: {}", name, command)
    _run(name, command, told, session.settings.hook_timeout_seconds)
    return True


def _run(name: str, command: str, told: Mapping[str, str], seconds: float) -> None:
    # The operator's own command, in the shell they wrote it for; a session of its own, so that all of it can be ended.
    with subprocess.Popen(  # noqa: S602
        command,
        shell=True,
        env={**os.environ, **told},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        errors="replace",
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            message = f"hook {name} took longer than {seconds:g} s (hook_timeout_seconds) and was ended: {command}"
            raise HookError(message) from None
    if said := output.strip():
        logger.info("hook {} said: {}", name, said[-LOGGED_CHARACTERS:])
    if process.returncode:
        last = said.rpartition("\n")[2]
        message = f"hook {name} failed with exit code {process.returncode}{f': {last}' if last else ''}"
        raise HookError(message)
