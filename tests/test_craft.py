"""The craft of the repository, judged by its tools: style, types, layers, documentation."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import clean_environment
from typer.testing import CliRunner

from cdcsync.cli.main import app
from cdcsync.words.settings import Settings, public_name

ROOT = Path(__file__).parents[1]
TOOLS = Path(sys.executable).parent
VERBS = (
    *("check", "plan", "install", "uninstall", "run", "status", "lag", "verify", "drain", "config show"),
    *("cutover", "rollback", "quarantine list", "quarantine show", "quarantine retry"),
    *("config check", "demo", "psql", "unit"),
)
# How statements begin, but for the GRANT and the like that messages advise; no f-string may put them together.
SQL = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|TRUNCATE|COPY|PRAGMA|ATTACH) ")
RUNNERS = {"execute", "executemany", "executescript", "copy", "SQL"}
# Paths of one machine, in pieces so that this line is none.
MACHINE = re.compile(r"(?<![\w.])/" + r"(work/|tmp/w/|Users/|home/(?!app\b))")


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env=clean_environment(COLUMNS="200"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"


def _files() -> list[Path]:
    """Return the files of the repository that are text."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git repository")
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]


def test_ruff_finds_nothing() -> None:
    """Every rule but the ones switched off with a reason in pyproject.toml holds everywhere."""
    _run(TOOLS / "ruff", "check", ".")


def test_ruff_would_format_nothing_otherwise() -> None:
    """Layout is the formatter's business."""
    _run(TOOLS / "ruff", "format", "--check", ".")


def test_mypy_finds_nothing_in_strict_mode() -> None:
    """The package is fully typed."""
    _run(TOOLS / "mypy", "--strict")


def test_imports_go_one_way() -> None:
    """Words <- core <- edges <- machine <- cli."""
    _run(TOOLS / "lint-imports")


def test_every_verb_explains_itself() -> None:
    """--help of every verb has a description and names the settings file."""
    for verb in VERBS:
        done = CliRunner().invoke(app, [*verb.split(), "--help"], env={"COLUMNS": "200"})
        assert done.exit_code == 0, verb
        assert "--config" in done.stdout, verb
        described = [line for line in done.stdout.splitlines() if line.strip() and "Usage" not in line]
        assert len(described[0].split()) > 2, verb


def test_readme_documents_every_verb_and_every_setting() -> None:
    """What can be called and what can be set is in the README, by name."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    verbs = {verb.split()[0] for verb in VERBS}
    missing = [verb for verb in sorted(verbs) if not re.search(rf"`(cdcsync )?{verb}\b", text)]
    settings = [public_name(name) for name in Settings.model_fields]
    missing += [name for name in settings if not re.search(rf"\b{name}\b", text)]
    assert not missing, f"the README says nothing of {', '.join(missing)}"


@pytest.mark.parametrize(
    "command",
    [
        "python3 -m venv .venv && .venv/bin/pip install '.[embedded]' && .venv/bin/cdcsync demo",
        "python3 -m venv .venv && .venv/bin/pip install '.[dev]' && .venv/bin/pytest",
    ],
)
def test_readme_holds_the_two_commands_word_for_word(command: str) -> None:
    """A fresh clone needs one line to see it work and one to test it."""
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")


def test_no_file_names_a_path_of_one_machine() -> None:
    """Nothing in the repository depends on where it was written."""
    found = []
    for path in _files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {line.strip()}" for line in lines if MACHINE.search(line)]
    assert not found, "\n".join(found)


def test_no_statement_is_put_together_by_an_f_string() -> None:
    """SQL with parts lies in .sql files, or is composed by psycopg.sql or by the quoting of core."""
    found = []
    for path in sorted((ROOT / "cdcsync").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found += [f"{path.relative_to(ROOT)}:{part.lineno}: {ast.unparse(part)}" for part in _statements(node)]
    assert not found, "\n".join(found)


def _statements(node: ast.AST) -> list[ast.JoinedStr]:
    """Return a node that is an f-string and reads like a statement, or those that a call is given to run."""
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return [part for part in node.args if isinstance(part, ast.JoinedStr)] if called in RUNNERS else []
    first = node.values[0] if isinstance(node, ast.JoinedStr) and node.values else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str) and SQL.match(first.value):
        return [node]
    return []


def test_architecture_is_told_in_150_lines() -> None:
    """docs/architecture.md stays short enough to be read."""
    assert len((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_ci_runs_what_the_readme_says() -> None:
    """The script of CI is executable, stops at errors and calls the README's command."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    for part in ("set -euo pipefail", "python3 -m venv .venv", ".venv/bin/pip install '.[dev]'", ".venv/bin/pytest"):
        assert part in text
