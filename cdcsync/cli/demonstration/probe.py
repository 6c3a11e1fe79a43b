"""The latency probe, a process of its own: writes through the service and waits for the row in PostgreSQL.

Measured is the time from the acknowledgement, which the service gives after COMMIT in SQLite, until a separate
PostgreSQL session sees the row. It looks every millisecond, so that much is the resolution.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

LOOK_SECONDS = 0.001
PATIENCE_SECONDS = 10.0
VISIBLE = "SELECT 1 FROM sessions WHERE id = %s::uuid"
SUMMARY = "the probe was here"


class Stop:
    """A flag for a signal handler, which must not wait for a lock as it would in setting an Event."""

    is_set = False

    def set(self, *_: object) -> None:
        """Be told to stop."""
        self.is_set = True


def main(url: str, ledger: Path) -> None:
    """Probe at irregular moments until SIGTERM; every write goes to the ledger, with its latency."""
    stop = Stop()
    signal.signal(signal.SIGTERM, stop.set)
    where = urlsplit(url)
    service = HTTPConnection(where.hostname or "", where.port, timeout=PATIENCE_SECONDS)
    # libpq's environment says where.
    with psycopg.connect(autocommit=True) as target, ledger.open("a", encoding="utf-8") as lines:
        while not stop.is_set:
            time.sleep(random.uniform(0.01, 0.04))  # noqa: S311  no secret
            entry, acknowledged = _write(service)
            entry["replicated_ms"] = _wait_until_visible(target, entry["id"], acknowledged, stop)
            lines.write(json.dumps(entry) + "\n")
            lines.flush()


def _write(service: HTTPConnection) -> tuple[dict[str, Any], float]:
    service.request("POST", "/interview/start", json.dumps({"summary": SUMMARY}))
    answer = service.getresponse().read()
    acknowledged = time.perf_counter()
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    ident = json.loads(answer)["id"]
    entry = {"table": "sessions", "id": ident, "session_id": ident, "summary": SUMMARY, "acked_at": now}
    return entry, acknowledged


def _wait_until_visible(target: psycopg.Connection[Any], ident: str, acknowledged: float, stop: Stop) -> float | None:
    while not target.execute(VISIBLE, [ident]).fetchone():
        # Giving up counts as the time waited, being told to stop as no sample.
        if time.perf_counter() - acknowledged > PATIENCE_SECONDS:
            break
        if stop.is_set:
            return None
        time.sleep(LOOK_SECONDS)
    return round((time.perf_counter() - acknowledged) * 1000, 2)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
