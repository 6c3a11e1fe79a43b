"""One deployment of the service: its settings in an env file, the pid of the process that serves beside it."""

import json
import os
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

HOST: Final = "127.0.0.1"
REQUEST_SECONDS: Final = 5


class Deployment:
    """What supervisor, switch and smoke test know about each other."""

    def __init__(self, env_file: Path) -> None:
        """The file has a setting a line, NAME=value."""
        self.env_file, self._pid_file = env_file, env_file.with_name("service.pid")

    def settings(self) -> dict[str, str]:
        """Read the settings."""
        lines = self.env_file.read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    def change(self, **settings: str) -> None:
        """Change settings; the next start of the service sees them."""
        lines = self.env_file.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line.partition("=")[0] not in settings]
        _replace(self.env_file, "".join(f"{line}\n" for line in kept + [f"{k}={v}" for k, v in settings.items()]))

    @property
    def pid(self) -> int:
        """The process that serves."""
        return int(self._pid_file.read_text(encoding="utf-8"))

    @pid.setter
    def pid(self, pid: int) -> None:
        _replace(self._pid_file, str(pid))

    def ask(self, method: str, path: str, body: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """Send one request to the service; return status and JSON. Raises OSError where nobody listens."""
        port = int(self.settings()["PORT"])
        with closing(HTTPConnection(HOST, port, timeout=REQUEST_SECONDS)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())


def _replace(path: Path, text: str) -> None:
    """Readers see the old text or the new one."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.write_text(text, encoding="utf-8")
    # Passwords are in it.
    new.chmod(0o600)
    new.replace(path)
