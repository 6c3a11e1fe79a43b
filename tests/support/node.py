"""Node and the npm packages the novels service needs: installed once, kept in pytest's cache."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

INSTALL_SECONDS = 600


def prepare(example: Path, cache: Path, folder: Path) -> Path:
    """Return a copy of the example in `folder` with its packages beside it; skip the test where there can be none."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    packages = _packages(example, cache)
    shutil.copytree(example, folder, ignore=shutil.ignore_patterns("node_modules", "*.db*", ".cdcsync"))
    (folder / "node_modules").symlink_to(packages)
    return folder


def _packages(example: Path, cache: Path) -> Path:
    """Return node_modules for this package.json, installed if this is the first time."""
    version = subprocess.run(["node", "--version"], check=True, capture_output=True).stdout
    digest = hashlib.sha256((example / "package.json").read_bytes() + version).hexdigest()[:16]
    cache.mkdir(parents=True, exist_ok=True)
    # Packages find each other only in a folder of this name.
    kept = cache / digest / "node_modules"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=cache) as fresh:
                _install(example, Path(fresh))
                kept.parent.mkdir(exist_ok=True)
                (Path(fresh) / "node_modules").rename(kept)
    return kept


def _install(example: Path, folder: Path) -> None:
    for name in ("package.json", ".npmrc"):
        shutil.copy(example / name, folder)
    for command in (
        ["npm", "install", "--no-audit", "--no-fund"],
        # The package installs without its binary where no compiler is found: see whether it loads.
        ["node", "-e", "new (require('better-sqlite3'))(':memory:').close()"],
    ):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        if done.returncode:
            pytest.skip(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-300:]}")
