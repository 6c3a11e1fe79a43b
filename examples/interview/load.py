"""Talk to the service as its users do: `python load.py --url URL --ledger FILE`.

Every acknowledged write goes to the ledger, so that each can be looked for later in
whichever database serves. A write that is answered 503 or loses its connection is
sent again until it is acknowledged or the time is over; if only its acknowledgement
was lost, it is stored twice.
"""

import argparse
import json
import math
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from random import Random
from typing import Any, Final, TextIO, TypedDict
from urllib.parse import urlsplit

TIMEOUT_SECONDS: Final = 10
RETRY_SECONDS: Final = 0.05
WRITES_A_SESSION: Final = 20
DRAFT_SHARE: Final = 0.15
READ_SHARE: Final = 0.25
MAX_BEHIND_SECONDS: Final = 0.1
TICKS_A_MS: Final = 100
STOP_SIGNALS: Final = {signal.SIGTERM, signal.SIGINT}
SENTENCES: Final = (
    "We started with a spreadsheet and a good deal of hope.",
    'He called it "temporary", and that was in 2014.',
    "It's what the customer's auditors had asked for.",
    "Großmutter hätte es „solide“ genannt — und recht gehabt.",
    "その後、少しずつ移行しました。",
    "The backups were in C:\\old\\new\\, naturally 🙂",
    "First:\n\tmeasure.\nThen:\n\tchange one thing.",
    "And it has been running ever since.",
)


@dataclass(frozen=True)
class Load:
    """What to generate: url or url_file says where the service is."""

    ledger: Path
    url: str = ""
    url_file: Path | None = None
    rate: float = 200.0
    clients: int = 8
    seconds: float = 60.0

    def connect(self) -> HTTPConnection:
        """Make a connection to where the service is now."""
        url = self.url_file.read_text("utf-8") if self.url_file else self.url
        parts = urlsplit(url.strip())
        if not parts.hostname:
            message = f"not a url: {url!r}"
            raise ConnectionError(message)
        return HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)


class Summary(TypedDict):
    """What came of it; a latency includes the retries."""

    acknowledged: int
    failed: int
    reads: int
    errors: dict[str, int]
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    latency_max_ms: float | None


class Tally:
    """Counts results and keeps the ledger, for all threads."""

    def __init__(self, ledger: TextIO) -> None:
        """Begin at nothing."""
        self._ledger = ledger
        self._lock = threading.Lock()
        self._failed = 0
        self._reads = 0
        self._errors: Counter[str] = Counter()
        # Counted by value, so that a long run needs no more memory than a short one.
        self._ticks: Counter[int] = Counter()

    def acknowledged(self, row: dict[str, object], seconds: float) -> None:
        """Enter an acknowledged write."""
        ticks = round(seconds * 1000 * TICKS_A_MS)
        row["acked_at"] = datetime.now(UTC).isoformat(timespec="microseconds")
        row["ms"] = ticks / TICKS_A_MS
        line = json.dumps(row, ensure_ascii=False)
        with self._lock:
            self._ticks[ticks] += 1
            self._ledger.write(f"{line}\n")
            self._ledger.flush()

    def failed(self) -> None:
        """Count a write that was given up."""
        with self._lock:
            self._failed += 1

    def read(self) -> None:
        """Count a read that was answered."""
        with self._lock:
            self._reads += 1

    def error(self, kind: str) -> None:
        """Count an attempt that was not answered as hoped."""
        with self._lock:
            self._errors[kind] += 1

    def summary(self) -> Summary:
        """Add up."""
        return {
            "acknowledged": self._ticks.total(),
            "failed": self._failed,
            "reads": self._reads,
            "errors": dict(sorted(self._errors.items())),
            "latency_p50_ms": self._percentile(0.50),
            "latency_p99_ms": self._percentile(0.99),
            "latency_max_ms": self._percentile(1.0),
        }

    def _percentile(self, share: float) -> float | None:
        wanted = math.ceil(share * self._ticks.total())
        for ticks, count in sorted(self._ticks.items()):
            wanted -= count
            if wanted <= 0:
                return ticks / TICKS_A_MS
        return None


class Pacer:
    """Hands out the moments at which the next write of all threads is due."""

    def __init__(self, rate: float) -> None:
        """Begin now."""
        self._interval = 1 / rate
        self._next = time.monotonic()
        self._lock = threading.Lock()

    def wait(self, stop: threading.Event) -> bool:
        """Wait for the next moment; False if it is time to stop."""
        with self._lock:
            now = time.monotonic()
            # A stall is not made up for by a burst: its users were waiting.
            due = max(self._next, now - MAX_BEHIND_SECONDS)
            self._next = due + self._interval
        return not stop.wait(max(0.0, due - now))


class User:
    """One client with its keep-alive connection and its current session."""

    def __init__(self, load: Load, tally: Tally, stop: threading.Event, number: int) -> None:
        """Begin without a session."""
        self._load = load
        self._tally = tally
        self._stop = stop
        self._name = f"client {number}"
        self._random = Random()  # noqa: S311 - sample data, no secrets
        self._connection: HTTPConnection | None = None
        self._session = ""
        self._writes = 0

    def run(self, pacer: Pacer) -> None:
        """Write and read until it is time to stop."""
        while pacer.wait(self._stop):
            self._write()
            if self._session and self._random.random() < READ_SHARE:
                self._read()
        self._disconnect()

    def _write(self) -> None:
        self._writes += 1
        if not self._session or self._writes % WRITES_A_SESSION == 0:
            self._start()
        elif self._random.random() < DRAFT_SHARE:
            self._draft()
        else:
            self._chat()

    def _start(self) -> None:
        summary = self._text()
        began = time.monotonic()
        if found := self._post("start", {"summary": summary}):
            self._session = found["id"]
            self._enter("sessions", found["id"], began, summary=summary)

    def _chat(self) -> None:
        text = self._text()
        began = time.monotonic()
        if found := self._post("chat", {"session_id": self._session, "text": text}):
            ident, reply = found["user_message_id"], found["assistant_message_id"]
            self._enter("messages", ident, began, text=text, reply_id=reply)

    def _draft(self) -> None:
        content = self._text()
        began = time.monotonic()
        fields = {"session_id": self._session, "content": content}
        if found := self._post("draft", fields):
            self._enter("drafts", found["id"], began, content=content)

    def _enter(self, table: str, ident: object, began: float, **values: object) -> None:
        row = {"table": table, "id": ident, "session_id": self._session, **values}
        self._tally.acknowledged(row, time.monotonic() - began)

    def _read(self) -> None:
        path, expected = f"/interview/session/{self._session}", {HTTPStatus.OK}
        if self._random.random() < DRAFT_SHARE:
            path = f"/interview/draft/latest/{self._session}"
            expected.add(HTTPStatus.NOT_FOUND)  # a young session has no draft
        status, found = self._request("GET", path)
        if status in expected:
            self._tally.read()
        else:
            self._tally.error(_kind(status, found))

    def _post(self, name: str, fields: dict[str, str]) -> dict[str, Any] | None:
        """Send a write until it is acknowledged, refused for good, or time is over."""
        data = json.dumps(fields, ensure_ascii=False).encode()
        while True:
            status, found = self._request("POST", f"/interview/{name}", data)
            if status == HTTPStatus.CREATED:
                return found
            self._tally.error(_kind(status, found))
            if status not in {0, HTTPStatus.SERVICE_UNAVAILABLE}:
                self._session = ""
                break
            if self._stop.wait(RETRY_SECONDS):
                break
        self._tally.failed()
        return None

    def _request(self, method: str, path: str, data: bytes | None = None) -> tuple[int, dict[str, Any]]:
        """Make one attempt; status 0 means that the connection failed."""
        try:
            if self._connection is None:
                self._connection = self._load.connect()
            self._connection.request(method, path, data)
            response = self._connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, HTTPException, ValueError):
            self._disconnect()
            return 0, {}

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _text(self) -> str:
        chosen = self._random.choices(SENTENCES, k=self._random.randint(1, 5))
        return f"{self._name}, write {self._writes}: {' '.join(chosen)}"


def _kind(status: int, found: dict[str, Any]) -> str:
    if not status:
        return "connection"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return str(found.get("category") or found.get("error"))
    return f"http_{status}"


def run_load(load: Load, stop: threading.Event | None = None) -> Summary:
    """Generate the load until its time is over or stop is set; sets stop itself."""
    stop = stop or threading.Event()
    with load.ledger.open("a", encoding="utf-8") as ledger:
        tally, pacer = Tally(ledger), Pacer(load.rate)
        users = [User(load, tally, stop, number) for number in range(load.clients)]
        threads = [threading.Thread(target=user.run, args=(pacer,)) for user in users]
        for thread in threads:
            thread.start()
        stop.wait(load.seconds or None)
        stop.set()
        for thread in threads:
            thread.join()
        return tally.summary()


def _options() -> Load:
    parser = argparse.ArgumentParser(description="A load generator with a ledger.")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", default="", help="of the service")
    where.add_argument("--url-file", type=Path, help="holds the url; read at every new connection")
    parser.add_argument("--ledger", type=Path, required=True, help="appended to")
    parser.add_argument("--rate", type=float, default=200.0, help="writes a second")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0, help="0: until SIGTERM")
    options = parser.parse_args()
    if options.rate <= 0 or options.clients < 1 or options.seconds < 0:
        parser.error("--rate and --clients must be above 0, --seconds not below")
    return Load(**vars(options))


def _stop_on_signal(stop: threading.Event) -> None:
    signal.sigwait(STOP_SIGNALS)
    stop.set()


def main() -> int:
    """Generate the load asked for on the command line."""
    load, stop = _options(), threading.Event()
    # Not in a handler: it runs in the main thread, which may hold the event's lock just then.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    threading.Thread(target=_stop_on_signal, args=(stop,), daemon=True).start()
    try:
        summary = run_load(load, stop)
    except OSError as error:
        print(f"load: {error}", file=sys.stderr)
        return 1
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
