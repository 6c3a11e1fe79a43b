"""The endpoints: checked input in, records out, no HTTP."""

import json
import logging
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final
from uuid import UUID, uuid4

from gate import PausedError, WriteGate
from records import StorageError, utc_text
from storage import Storage

REPLIES: Final = (
    "Thank you. What did you learn from that?",
    "Tell me more about your own part in it.",
    "How did the others see it?",
    "What would you do differently today?",
    "Could you give me one concrete example?",
)

log = logging.getLogger("interview")


@dataclass(frozen=True)
class Answer:
    """A status and the JSON object that goes with it."""

    status: HTTPStatus
    payload: Mapping[str, object]


@dataclass(frozen=True)
class Call:
    """A request, with what is needed to answer it."""

    storage: Storage
    gate: WriteGate
    body: bytes
    path_id: str


class RefusedError(Exception):
    """The request is answered with an error of the client's."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        """Keep the status beside the message."""
        super().__init__(message)
        self.status = status


def health(call: Call) -> Answer:
    """Tell whether the database answers."""
    provider = call.storage.provider
    try:
        call.storage.ping()
    except StorageError as error:
        return _unavailable("health", error, db="down", provider=provider)
    return Answer(HTTPStatus.OK, {"db": "up", "provider": provider})


def start(call: Call) -> Answer:
    """Begin a session."""
    fields = _fields(call.body)
    summary = _text(fields, "summary") if "summary" in fields else ""
    session_id, now = uuid4(), datetime.now(UTC)
    call.storage.start(session_id, summary, now)
    return Answer(HTTPStatus.CREATED, {"id": str(session_id), "created_at": utc_text(now)})


def chat(call: Call) -> Answer:
    """Store the user's message and the reply to it."""
    fields = _fields(call.body)
    session_id, text = _uuid(fields.get("session_id")), _text(fields, "text")
    reply = REPLIES[zlib.crc32(text.encode()) % len(REPLIES)]
    ids = call.storage.chat(session_id, text, reply, datetime.now(UTC))
    if ids is None:
        raise _unknown_session()
    user_id, assistant_id = ids
    return Answer(
        HTTPStatus.CREATED,
        {
            "session_id": str(session_id),
            "user_message_id": user_id,
            "assistant_message_id": assistant_id,
            "reply": reply,
        },
    )


def draft(call: Call) -> Answer:
    """Store a draft."""
    fields = _fields(call.body)
    session_id, content = _uuid(fields.get("session_id")), _text(fields, "content")
    draft_id = call.storage.draft(session_id, content, datetime.now(UTC))
    if draft_id is None:
        raise _unknown_session()
    return Answer(HTTPStatus.CREATED, {"id": draft_id, "session_id": str(session_id)})


def session(call: Call) -> Answer:
    """Return a session with its messages."""
    found = call.storage.session(_uuid(call.path_id))
    if found is None:
        raise _unknown_session()
    return Answer(HTTPStatus.OK, found)


def latest_draft(call: Call) -> Answer:
    """Return the newest draft of a session."""
    found = call.storage.latest_draft(_uuid(call.path_id))
    if found is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, "no draft of this session")
    return Answer(HTTPStatus.OK, found)


def pause(call: Call) -> Answer:
    """Refuse writes; answer when none is in flight."""
    return Answer(HTTPStatus.OK, {"paused": call.gate.pause()})


def resume(call: Call) -> Answer:
    """Accept writes again."""
    call.gate.resume()
    return Answer(HTTPStatus.OK, {"paused": False})


@dataclass(frozen=True)
class Route:
    """An endpoint, and whether a pause stops it."""

    endpoint: Callable[[Call], Answer]
    writes: bool = False


# A path that ends in / takes an id.
ROUTES: Final = {
    "GET /health": Route(health),
    "POST /interview/start": Route(start, writes=True),
    "POST /interview/chat": Route(chat, writes=True),
    "POST /interview/draft": Route(draft, writes=True),
    "GET /interview/session/": Route(session),
    "GET /interview/draft/latest/": Route(latest_draft),
    "POST /admin/pause": Route(pause),
    "POST /admin/resume": Route(resume),
}


def answer(method: str, path: str, body: bytes, storage: Storage, gate: WriteGate) -> Answer:
    """Answer one request."""
    try:
        route, path_id = _route(method, path.partition("?")[0])
        call = Call(storage, gate, body, path_id)
        if not route.writes:
            return route.endpoint(call)
        with gate.write():
            return route.endpoint(call)
    except RefusedError as error:
        return Answer(error.status, {"error": str(error)})
    except PausedError:
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "paused"})
    except StorageError as error:
        return _unavailable(f"{method} {path}", error, error="database unavailable", category="db")


def _route(method: str, path: str) -> tuple[Route, str]:
    folder, slash, path_id = path.rpartition("/")
    route = ROUTES.get(f"{method} {path}") or ROUTES.get(f"{method} {folder}{slash}")
    if route is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, "no such endpoint")
    return route, path_id


def _unavailable(where: str, cause: StorageError, **payload: str) -> Answer:
    log.error("category=db %s: %s", where, cause)
    return Answer(HTTPStatus.SERVICE_UNAVAILABLE, payload)


def _fields(body: bytes) -> dict[str, object]:
    try:
        fields = json.loads(body.decode()) if body else {}
    except (ValueError, RecursionError) as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the body is not JSON") from error
    if not isinstance(fields, dict):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
    return fields


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    # NUL and lone surrogates: JSON can carry what PostgreSQL's text cannot.
    if (
        not isinstance(value, str)
        or not value.strip()
        or "\0" in value
        or any("\ud800" <= char <= "\udfff" for char in value)
    ):
        message = f"{name} must be a non-empty string without NUL"
        raise RefusedError(HTTPStatus.BAD_REQUEST, message)
    return value


def _uuid(value: object) -> UUID:
    try:
        found = UUID(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or str(found) != str(value).lower():
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the session id must be a UUID")
    return found


def _unknown_session() -> RefusedError:
    return RefusedError(HTTPStatus.NOT_FOUND, "no such session")
