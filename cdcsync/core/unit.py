"""The systemd drop-in that fits the units in `systemd/` to one database."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from cdcsync.words.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

# Directories the unit hides, and the setting that shows them again.
_HIDDEN = {
    "ProtectHome=read-only": ("/home", "/root", "/run/user"),
    "PrivateTmp=no": ("/tmp", "/var/tmp"),  # noqa: S108  compared with, not written to
}


def drop_in(source: Path, owner: str, group: str, state_dir: Path, config: Path) -> str:
    """Return the text of a drop-in that runs the service as `owner` and opens what it writes.

    The paths are absolute, without symbolic links and `..`: systemd compares names. UsageError for one that a
    unit file cannot hold: relative, not UTF-8, or with control characters.
    """
    # The dash: a directory that is missing is for the daemon to report, not for systemd as 226/NAMESPACE.
    writable = dict.fromkeys(_quoted("-", path) for path in (source.parent, state_dir))
    shown = [
        setting
        for setting, places in _HIDDEN.items()
        if any(path.is_relative_to(place) for path in (source, state_dir, config) for place in places)
    ]
    lines = [
        "# Printed by `cdcsync unit`. Print it again when one of these paths changes: what the service may",
        "# write follows from them, and they win over the settings file.",
        "[Service]",
        f"User={_escaped(owner)}",
        f"Group={_escaped(group)}",
        f"Environment={_quoted('CDCSYNC_CONFIG=', config)}",
        f"Environment={_quoted('CDCSYNC_SOURCE=', source)}",
        f"Environment={_quoted('CDCSYNC_STATE_DIR=', state_dir)}",
        *(f"ReadWritePaths={path}" for path in writable),
        *shown,
    ]
    return "\n".join(lines) + "\n"


def _quoted(prefix: str, path: Path) -> str:
    if not path.is_absolute() or ".." in path.parts:
        message = f"a systemd unit needs absolute paths without ..: {str(path)!r}"
        raise UsageError(message)
    text = _escaped(prefix + str(path)).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _escaped(text: str) -> str:
    """Keep systemd from taking a percent sign for a specifier."""
    # Cc: control characters; Cs: what Python makes of bytes that are not UTF-8.
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
        message = f"a systemd unit cannot hold control characters or bytes that are not UTF-8: {text!r}"
        raise UsageError(message)
    return text.replace("%", "%%")
