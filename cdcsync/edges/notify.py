"""What the daemon tells systemd, by the protocol of sd_notify(3). Nothing happens without NOTIFY_SOCKET.

The package sdnotify would do it, but has no types, drops every text outside Latin-1 and knows no interval.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def is_watched() -> bool:
    """Tell whether anybody listens."""
    return bool(os.environ.get("NOTIFY_SOCKET"))


def ready() -> None:
    """Say that the start is complete."""
    _send("READY=1")


def watchdog() -> None:
    """Say that the daemon is alive; due well within every `watchdog_interval`."""
    _send("WATCHDOG=1")


def status(text: str) -> None:
    """Show a text, made one line, in `systemctl status`."""
    _send("STATUS=" + " ".join(text.split()))


def stopping() -> None:
    """Say that the daemon is about to end."""
    _send("STOPPING=1")


def watchdog_interval() -> float | None:
    """Return the seconds of silence after which systemd kills this process; None if it does not watch it."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        microseconds = int(os.environ["WATCHDOG_USEC"])
    except (KeyError, ValueError):
        return None
    return microseconds / 1e6 if microseconds > 0 else None


def _send(state: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    # A systemd that is being restarted is no reason to end replication.
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.connect(address)
        peer.sendall(state.encode(errors="replace"))
