"""A hook of the cutover: the checklist of the migration plan, asked of the service. `python smoke.py`.

Reads come first, compared with what SQLite holds, while the service refuses writes; then writes are opened and tried.
"""

import argparse
import os
import sqlite3
import sys
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Final
from uuid import UUID

from deployment import Deployment
from storage_sqlite import SqliteStorage

SAMPLES: Final = 20
SESSIONS: Final = "SELECT id FROM sessions ORDER BY updated_at DESC, id LIMIT ?"
SUMMARY: Final = "smoke test of the cutover"


class WrongError(Exception):
    """The service does not answer as it should."""


def main() -> int:
    """Go through the checklist; the last line says what failed."""
    parser = argparse.ArgumentParser(description="Tries the interview service after a cutover.")
    parser.add_argument("--env-file", type=Path, default=Path(".env"))
    deployment = Deployment(parser.parse_args().env_file)
    try:
        _health(deployment)
        _sessions(deployment, os.environ["CDCSYNC_SOURCE"])
        deployment.change(WRITES="open")
        _ask(deployment, HTTPStatus.OK, "POST", "/admin/resume")
        _interview(deployment)
    except (WrongError, OSError, HTTPException, ValueError) as error:
        print(f"smoke test: {error}", file=sys.stderr)
        return 1
    return 0


def _health(deployment: Deployment) -> None:
    _same("GET /health", _ask(deployment, HTTPStatus.OK, "GET", "/health"), {"db": "up", "provider": "postgres"})


def _sessions(deployment: Deployment, file: str) -> None:
    """The newest sessions, their messages in order, and their drafts are what SQLite holds."""
    with closing(sqlite3.connect(file)) as connection:
        idents = [UUID(ident) for (ident,) in connection.execute(SESSIONS, (SAMPLES,))]
    with closing(SqliteStorage.from_environ({**deployment.settings(), "SQLITE_PATH": file})) as storage:
        for ident in idents:
            path = f"/interview/session/{ident}"
            _same(path, _ask(deployment, HTTPStatus.OK, "GET", path), storage.session(ident))
            if draft := storage.latest_draft(ident):
                path = f"/interview/draft/latest/{ident}"
                _same(path, _ask(deployment, HTTPStatus.OK, "GET", path), draft)


def _interview(deployment: Deployment) -> None:
    """A new session can be written to and read."""
    ident = _ask(deployment, HTTPStatus.CREATED, "POST", "/interview/start", summary=SUMMARY)["id"]
    said = _ask(deployment, HTTPStatus.CREATED, "POST", "/interview/chat", session_id=ident, text="One, two.")
    found = _ask(deployment, HTTPStatus.OK, "GET", f"/interview/session/{ident}")
    order = [message["id"] for message in found["messages"]]
    _same("the order of messages", order, [said["user_message_id"], said["assistant_message_id"]])
    _ask(deployment, HTTPStatus.CREATED, "POST", "/interview/draft", session_id=ident, content="A draft.")
    draft = _ask(deployment, HTTPStatus.OK, "GET", f"/interview/draft/latest/{ident}")
    _same("the draft", draft["content"], "A draft.")


def _ask(deployment: Deployment, expected: HTTPStatus, method: str, path: str, **body: str) -> dict[str, object]:
    status, answer = deployment.ask(method, path, body or None)
    if status != expected:
        message = f"{method} {path} answered {status}: {answer}"
        raise WrongError(message)
    return dict(answer)


def _same(what: str, found: object, expected: object) -> None:
    if found != expected:
        message = f"{what} is {found}, not {expected}"
        raise WrongError(message)


if __name__ == "__main__":
    sys.exit(main())
