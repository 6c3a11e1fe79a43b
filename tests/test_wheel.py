"""The built wheel: installed elsewhere, without extras, run from another directory."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import shop
from support.processes import clean_environment

if TYPE_CHECKING:
    from support.postgres import Database

ROOT = Path(__file__).parents[1]
PACKED = ("triggers", "sql", "examples/interview")
KEPT = {".sql", ".md", ".py", ".toml", ".example"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as a release would."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment())
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install it into a new virtual environment; return the console command."""
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel]
    done = subprocess.run(pip, capture_output=True, text=True, check=False, env=clean_environment())
    assert done.returncode == 0, done.stderr
    return folder / "bin" / "cdcsync"


def _run(command: Path, *arguments: str | Path, cwd: Path, expect: int = 0, **more: str) -> str:
    done = subprocess.run(
        [command, *arguments], cwd=cwd, env=clean_environment(**more), capture_output=True, text=True, check=False
    )
    assert done.returncode == expect, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_wheel_holds_triggers_sql_and_the_example_and_nothing_else(wheel: Path) -> None:
    """Every file of the three folders is inside, `.env.example` too; tests and leftovers are not."""
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    for folder in PACKED:
        files = [path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix in KEPT]
        expected = {f"cdcsync/{path.relative_to(ROOT).as_posix()}" for path in files}
        assert expected
        assert expected <= names
    assert "cdcsync/examples/interview/.env.example" in names
    assert all(name.startswith(("cdcsync/", "cdcsync-")) for name in names)
    assert not [name for name in names if "__pycache__" in name or name.endswith((".db", ".pyc"))]


def test_installed_wheel_runs_from_another_directory_without_extras(installed: Path, tmp_path: Path) -> None:
    """The bare package finds its triggers and statements, and says in one line what an extra would bring."""
    source = shop.create(tmp_path / "app.db", customers=3)
    where = tmp_path / "somewhere"
    where.mkdir()
    assert _run(installed, "--version", cwd=where).startswith("cdcsync ")
    assert 'CREATE TABLE "public"."customers"' in _run(installed, "plan", "--source", source, cwd=where)
    printed = _run(installed, "install", "--print", "--source", source, cwd=where)
    assert "CREATE TRIGGER" in printed
    refused = _run(installed, "install", "--source", source, "--target", "embedded", cwd=where, expect=2)
    assert len(refused.splitlines()) == 1
    assert "embedded" in refused


def test_installed_wheel_moves_a_database(installed: Path, database: Database, tmp_path: Path) -> None:
    """install, run --once, verify and drain --handover work from the wheel."""
    source = shop.create(tmp_path / "app.db", customers=30)
    for arguments in (("install",), ("run", "--once"), ("verify",), ("drain", "--handover", "--quiet-seconds", "0.1")):
        _run(installed, *arguments, "--source", source, cwd=tmp_path, **database.environment())
    assert database.value("SELECT count(*) FROM customers") == 30
