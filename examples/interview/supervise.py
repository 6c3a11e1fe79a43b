"""Keep the service running: `python supervise.py`. It starts again whenever it ends, with the settings it then finds.

What systemd does with Restart=always and EnvironmentFile=, for places without one.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from deployment import Deployment

STOP_SIGNALS: Final = {signal.SIGTERM, signal.SIGINT}
CRASHED_SECONDS: Final = 1


def main() -> int:
    """Supervise until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="Keeps the interview service running.")
    parser.add_argument("--env-file", type=Path, default=Path(".env"), help="settings, PORT among them")
    deployment = Deployment(parser.parse_args().env_file)
    # All of them are waited for below, so that none comes between a decision and what follows it.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, {*STOP_SIGNALS, signal.SIGCHLD})
    while True:
        settings = deployment.settings()
        command = [sys.executable, str(Path(__file__).with_name("service.py")), "--port", settings["PORT"]]
        service = subprocess.Popen(command, env={**os.environ, **settings})  # noqa: S603  our own program
        deployment.pid = service.pid
        if signal.sigwait({*STOP_SIGNALS, signal.SIGCHLD}) in STOP_SIGNALS:
            service.terminate()
            return service.wait()
        if service.wait():
            time.sleep(CRASHED_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
