"""The password of the target is in no output, whatever is wrong with the string that holds it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.cli import COMMAND
from support.postgres import PASSWORD
from support.processes import clean_environment

from cdcsync.cli.config import MASK, masked, without_password
from cdcsync.machine.context import Context
from cdcsync.words.errors import CdcsyncError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.cli import Cli
    from support.pair import Pair
    from support.postgres import Database

    Make = Callable[..., Pair]

SECRET = "hUnt3r-2"  # noqa: S105  of nobody
AT = "127.0.0.1:1"
# Strings that libpq cannot read, reads otherwise than they are meant, or reads and cannot use.
STRINGS = {
    "good form, nobody there": f"postgresql://mover:{SECRET}@{AT}/x",
    "one slash": f"postgres:/mover:{SECRET}@{AT}/x",
    "no colon": f"postgresql//mover:{SECRET}@{AT}/x",
    "no scheme": f"mover:{SECRET}@{AT}/x",
    "another scheme": f"mysql://mover:{SECRET}@{AT}/x",
    "a port that is none": f"postgresql://mover:{SECRET}@127.0.0.1:notaport/x",
    "an unknown word": f"host=127.0.0.1 port=1 password={SECRET} bogus=1",
    "an unknown parameter": f"postgresql://{AT}/x?password={SECRET}&bogus=1",
    "an open quote": f"host=127.0.0.1 port=1 password='{SECRET}",
    "a word without value": f"password={SECRET} host",
    "a blank inside": f"host=127.0.0.1 port=1 user=mover password=a {SECRET}",
    "only the secret": SECRET,
    "an open bracket": f"postgresql://mover:{SECRET}@[::1/x",
    "a wrong escape": f"postgresql://mover:{SECRET}%zz@{AT}/x",
    "an unescaped @": f"postgresql://mover:p@ss{SECRET}@{AT}/x",
    "an unescaped @ at the end": f"postgresql://mover:{SECRET}@@{AT}/x",
    "an unescaped slash": f"postgresql://mover:a/{SECRET}@{AT}/x",
    "an unescaped question mark": f"postgresql://mover:a?{SECRET}@{AT}/x",
    "a mode that is none": f"host=127.0.0.1 port=1 password={SECRET} sslmode=bogus",
    "a service that is none": f"service=nowhere password={SECRET}",
    "a control character": f"host=127.0.0.1 port=1 password=\x01{SECRET}",
    "the word for password misspelled": f"host=127.0.0.1 port=1 pasword={SECRET}",
}


@pytest.mark.parametrize("what", STRINGS)
def test_no_refusal_quotes_the_secret(make_pair: Make, what: str) -> None:
    """Connecting fails in one line that names the setting and holds no part of the password."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    pair.change_settings(target=STRINGS[what])
    with Context(pair.settings) as context, pytest.raises(CdcsyncError) as refused:
        context.open_target()
    assert SECRET not in str(refused.value)
    assert "--target" in str(refused.value)
    assert "\n" not in str(refused.value)
    # Not in what a logger would add either.
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    "what",
    STRINGS,
)
def test_no_setting_shows_the_secret(what: str) -> None:
    """What `config show` and a written plan hold of the string is masked, or masked whole."""
    assert SECRET not in masked(STRINGS[what])
    assert SECRET not in without_password(STRINGS[what])


def test_masking_leaves_the_rest() -> None:
    """Host, port and user stay readable; a string without a password and the embedded server stay as they are."""
    assert masked(STRINGS["good form, nobody there"]).replace("port=1", "") != MASK
    assert MASK in masked("host=h user=u password=p")
    assert "user=u" in masked("host=h user=u password=p")
    assert masked("host=h user=u") == "host=h user=u"
    assert masked("embedded") == "embedded"
    assert masked("") == ""


VERBS = [("check",), ("plan", "--write", "written.toml"), ("status", "--json"), ("unit",), ("config", "show", "--json")]


def _all_output(folder: Path, target: str, secret: str, *, level: str = "TRACE") -> None:
    """Run every verb, all at once; neither their output nor any file they write holds the secret."""
    settings = folder / "cdcsync.toml"
    settings.write_text(f'source = "app.db"\ntarget = {json.dumps(target)}\nlog_level = "{level}"\n')
    waiting: list[tuple[tuple[str, ...], subprocess.Popen[str]]] = []
    for verb in VERBS:
        begun = subprocess.Popen(
            [*COMMAND, *verb],
            cwd=folder,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        waiting.append((verb, begun))
    for verb, begun in waiting:
        out, err = begun.communicate(timeout=60)
        assert secret not in out, verb
        assert secret not in err, verb
        assert "Traceback" not in err, verb
    for path in folder.rglob("*"):
        if path.is_file() and path != settings:
            assert secret.encode() not in path.read_bytes(), path


def test_no_verb_shows_the_secret(make_pair: Make) -> None:
    """A string that cannot be used: nothing on stdout and stderr and in files, at the chattiest log level."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    pair.install()
    _all_output(pair.path.parent, STRINGS["no scheme"], SECRET)


def test_psql_does_not_show_the_secret(make_pair: Make, cli: Cli) -> None:
    """The verb that opens psql reads the string itself first, and refuses in words without it."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    cli.environment |= {"CDCSYNC_SOURCE": str(pair.path), "CDCSYNC_TARGET": STRINGS["no scheme"]}
    refused = cli("psql", "-c", "SELECT 1", expect=None)
    assert refused.code != 0
    assert SECRET not in refused.out + refused.err


def test_no_verb_shows_a_password_that_works(make_pair: Make, shared_database: Database) -> None:
    """A string that works stands in no output and no file; nor does the target keep the password."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)")
    pair.install()
    pair.sync()
    _all_output(pair.path.parent, shared_database.conninfo(), PASSWORD)
    with shared_database.server.admin(shared_database.name) as admin:
        tables = admin.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'cdcsync'"
        )
        for (table,) in tables.fetchall():
            assert PASSWORD not in str(admin.execute(f"SELECT * FROM {table}".encode()).fetchall()), table
