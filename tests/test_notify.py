"""The messages for systemd, received on a real datagram socket."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from cdcsync.edges import notify

if TYPE_CHECKING:
    from pathlib import Path


def _send_all() -> None:
    notify.ready()
    notify.watchdog()
    notify.status("streaming,\nlag 0.4 s … ok \udcff")
    notify.stopping()


def _receive_all(bound: str, named: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("NOTIFY_SOCKET", named)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(bound)
        systemd.settimeout(5)
        _send_all()
        return [systemd.recv(4096).decode() for _ in range(4)]


def test_each_call_sends_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ready, watchdog, status on one line and stopping arrive in order, by path and by abstract name."""
    expected = ["READY=1", "WATCHDOG=1", "STATUS=streaming, lag 0.4 s … ok ?", "STOPPING=1"]
    # A relative name, because the path of a test may be longer than a socket's.
    monkeypatch.chdir(tmp_path)
    path = f"cdcsync-test-{os.getpid()}"
    assert _receive_all(f"\0{path}", f"@{path}", monkeypatch) == expected
    short = f"/proc/self/cwd/{path}"
    assert _receive_all(short, short, monkeypatch) == expected


@pytest.mark.parametrize("address", [None, "", "/nowhere/to/be/found", "vsock:2:1"])
def test_nothing_happens_without_a_listener(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket, or one that nobody listens on, is no error."""
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    _send_all()


@pytest.mark.parametrize(
    ("microseconds", "pid", "seconds"),
    [
        ("30000000", None, 30.0),
        ("500000", "ours", 0.5),
        ("30000000", "1", None),
        (None, None, None),
        ("0", None, None),
        ("soon", None, None),
    ],
)
def test_watchdog_interval(
    microseconds: str | None, pid: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interval is in seconds, and ours only if the pid is."""
    if pid == "ours":
        pid = str(os.getpid())
    for name, value in (("WATCHDOG_USEC", microseconds), ("WATCHDOG_PID", pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert notify.watchdog_interval() == seconds
