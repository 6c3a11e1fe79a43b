"""The systemd units and the drop-in, judged by systemd's own parser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cdcsync.core.unit import drop_in
from cdcsync.words.errors import UsageError

WORST_EXPOSURE = 2.0
UNITS = Path(__file__).parents[1] / "systemd"
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")

PATHS = [
    "/srv/shop/app.db",
    "/srv/two words/app.db",
    "/srv/100%i $HOME ${HOME}/app.db",
    "/srv/\"double\" 'single' \\n \\/a;b#c.db",
    "/srv/größe ✓/app.db",
    "/ leading and trailing / app.db ",
    "/app.db",
]


def _analyze(*args: str | Path, debug: bool = False) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    return subprocess.run(
        [ANALYZE, *map(str, args)],
        env=os.environ | ({"SYSTEMD_LOG_LEVEL": "debug"} if debug else {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _copy(name: str, directory: Path) -> Path:
    """Copy a unit with a program that exists: verify insists on one at ExecStart=."""
    copy = directory / name
    text = (UNITS / name).read_text()
    assert "ExecStart=/usr/local/bin/cdcsync run\n" in text
    copy.write_text(text.replace("/usr/local/bin/cdcsync", "/bin/true"))
    return copy


@needs_systemd
@pytest.mark.parametrize("name", ["cdcsync.service", "cdcsync@.service"])
def test_units_verify_and_are_hardened(name: str, tmp_path: Path) -> None:
    """Both units pass `systemd-analyze verify` without a word and expose at most 2.0."""
    unit = _copy(name, tmp_path)
    verified = _analyze("verify", unit)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    rated = _analyze("security", "--offline=true", "--no-pager", UNITS / name)
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", rated.stdout)
    assert exposure, rated.stdout + rated.stderr
    assert float(exposure[1]) <= WORST_EXPOSURE


def test_units_differ_only_by_instance() -> None:
    """The two units say the same, but for the name of the instance."""
    plain, template = (
        [line for line in (UNITS / name).read_text().splitlines() if not line.startswith("#")]
        for name in ("cdcsync.service", "cdcsync@.service")
    )
    assert [
        line.replace(" (%i)", "").replace("cdcsync-%i", "cdcsync").replace("/%i.", "/cdcsync.") for line in template
    ] == plain


@needs_systemd
@pytest.mark.parametrize("source", PATHS)
def test_drop_in_survives_systemds_parser(source: str, tmp_path: Path) -> None:
    """Systemd reads back exactly the paths, user and group that were given."""
    unit = _copy("cdcsync.service", tmp_path)
    state_dir, config = Path(source).parent / "state dir%", Path(source).with_suffix(".toml")
    overrides = tmp_path / "cdcsync.service.d"
    overrides.mkdir()
    text = drop_in(Path(source), "app", "data", state_dir, config)
    (overrides / "local.conf").write_text(text, encoding="utf-8")
    verified = _analyze("verify", unit, debug=True)
    read = [line.strip("\t") for line in (verified.stdout + verified.stderr).splitlines()]
    assert verified.returncode == 0, verified.stderr
    for expected in (
        "User: app",
        "Group: data",
        f"Environment: CDCSYNC_SOURCE={source}",
        f"Environment: CDCSYNC_STATE_DIR={state_dir}",
        f"Environment: CDCSYNC_CONFIG={config}",
        f"ReadWritePaths: -{Path(source).parent} -{state_dir}",
    ):
        assert any(line.rstrip("\r") == expected for line in read), (expected, text)


def test_drop_in_shows_hidden_places() -> None:
    """Home directories and /tmp, which the unit hides, are shown where a path needs them, else not."""
    etc, lib, srv = Path("/etc/cdcsync/a.toml"), Path("/var/lib/cdcsync"), Path("/srv/a/a.db")
    usual = drop_in(srv, "app", "app", lib, etc)
    assert "ProtectHome" not in usual
    assert "PrivateTmp" not in usual
    assert "ProtectHome=read-only\n" in drop_in(Path("/home/app/a.db"), "app", "app", lib, etc)
    assert "ProtectHome=read-only\n" in drop_in(srv, "app", "app", lib, Path("/root/a.toml"))
    assert "PrivateTmp=no\n" in drop_in(srv, "app", "app", Path("/var/tmp/x"), etc)  # noqa: S108
    assert "ProtectHome" not in drop_in(Path("/homes/app/a.db"), "app", "app", lib, etc)


def test_drop_in_names_a_directory_once() -> None:
    """A state directory beside the source is one directory to write, not two."""
    text = drop_in(Path("/srv/a/a.db"), "app", "app", Path("/srv/a"), Path("/etc/a.toml"))
    assert text.count("ReadWritePaths=") == 1


@pytest.mark.parametrize("source", ["app.db", "/srv/../etc/app.db", "/srv/a\nUser=root/a.db", "/srv/\udcff/a.db"])
def test_drop_in_refuses_what_a_unit_cannot_hold(source: str) -> None:
    """A relative path, a line break or a byte that is not UTF-8 is an error, never another directive."""
    with pytest.raises(UsageError, match="systemd unit"):
        drop_in(Path(source), "app", "app", Path("/var/lib/cdcsync"), Path("/etc/cdcsync/a.toml"))
