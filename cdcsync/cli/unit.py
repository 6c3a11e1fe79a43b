"""`cdcsync unit`."""

from __future__ import annotations

import grp
import pwd
from pathlib import Path

from cdcsync.cli import show
from cdcsync.cli.options import with_settings
from cdcsync.core.unit import drop_in
from cdcsync.edges.source import refuse_unusable
from cdcsync.words.errors import UsageError
from cdcsync.words.settings import DEFAULT_FILE, Loaded


def _command(loaded: Loaded) -> int:
    """Print the systemd drop-in for these settings: the user who owns the source, the paths it needs."""
    if loaded.file is None:
        message = f"the unit needs a settings file: name one with --config, or write ./{DEFAULT_FILE}"
        raise UsageError(message)
    source = Path(loaded.settings.source_path).resolve()
    refuse_unusable(source)
    owner = source.stat()
    text = drop_in(
        source,
        _name(owner.st_uid, group=False),
        _name(owner.st_gid, group=True),
        Path(loaded.settings.state_dir).resolve(),
        loaded.file.resolve(),
    )
    show.line(text.rstrip("\n"))
    return 0


command = with_settings(_command)


def _name(number: int, *, group: bool) -> str:
    """Return the name of a user or group; its number where it has none."""
    try:
        return grp.getgrgid(number).gr_name if group else pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
