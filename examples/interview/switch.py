"""A hook of the cutover: restart the service on another database. `python switch.py postgres`, or `sqlite`.

On PostgreSQL it begins with its writes paused: `smoke.py` opens them once the reads are proven. A cutover that fails
its smoke test before that goes back by itself, as nobody has written yet.
"""

import argparse
import os
import signal
import sys
import time
from http import HTTPStatus
from pathlib import Path
from typing import Final

from deployment import Deployment

PATIENCE_SECONDS: Final = 20
LOOK_SECONDS: Final = 0.01


def main() -> int:
    """Switch, and wait until the service answers from the other database."""
    parser = argparse.ArgumentParser(description="Restarts the interview service on another database.")
    parser.add_argument("provider", choices=("sqlite", "postgres"))
    parser.add_argument("--env-file", type=Path, default=Path(".env"))
    options = parser.parse_args()
    deployment = Deployment(options.env_file)
    deployment.change(DB_PROVIDER=options.provider, WRITES="paused" if options.provider == "postgres" else "open")
    # Its supervisor starts it again.
    os.kill(deployment.pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not _serves_from(deployment, options.provider):
        if time.monotonic() > deadline:
            print(f"the service is not up on {options.provider} after {PATIENCE_SECONDS} s", file=sys.stderr)
            return 1
        time.sleep(LOOK_SECONDS)
    return 0


def _serves_from(deployment: Deployment, provider: str) -> bool:
    try:
        status, health = deployment.ask("GET", "/health")
    except (OSError, ValueError):
        return False
    return status == HTTPStatus.OK and health["provider"] == provider


if __name__ == "__main__":
    sys.exit(main())
