"""Bad settings and command lines get one clear line that names the place, exit 2, and change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.refusals import REFUSED, TYPICAL_VERBS, UNKNOWN, USAGE, assert_one_line, fingerprint, refuses

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Cli

FAULTY_SETTINGS = {
    "unknown table": ("[tables.custommers]\nskip = true", "custommers"),
    "unknown column": ('[tables.customers.columns]\nemial = "text"', "emial"),
    "unknown key column": ('[tables.prices]\nkey = ["produkt"]', "produkt"),
    "unknown setting": ("pol_seconds = 1", "pol_seconds"),
    "unknown setting of a table": ("[tables.customers]\nskipp = true", "skipp"),
    "unknown setting of a column": ('[tables.customers.columns]\nname = { typ = "text" }', "typ"),
    "unknown hook": ('[hooks]\nafter_fence = "true"', "after_fence"),
    "bad value": ("poll_seconds = -1", "poll_seconds"),
    "bad format of a time": ('[tables.customers.columns]\ncreated = { format = "unix" }', "format"),
    "reserved": ('http = ":8080"', "http"),
    "no TOML": ("source = app.db =", "TOML"),
}


@pytest.mark.parametrize("fault", FAULTY_SETTINGS)
def test_faulty_settings_file_is_a_usage_error_that_names_the_place(cli: Cli, source: Path, fault: str) -> None:
    """A setting or mapping that means nothing is exit 2 and one line with its name; nothing is changed."""
    text, named = FAULTY_SETTINGS[fault]
    settings = cli.cwd / "cdcsync.toml"
    settings.write_text('source = "../app.db"\n' + text + "\n")
    for verb in (("install",), ("config", "check")):
        refuses(cli, verb, source, USAGE, named)


UNBUILDABLE = {
    "unknown type": ('[tables.customers.columns]\nname = "txet"', "txet"),
    "two columns of one name": ('[tables.customers.columns]\nname = { target = "email" }', "email"),
    "two tables of one name": ('[tables.customers]\ntarget = "orders"', "orders"),
}


@pytest.mark.parametrize("fault", UNBUILDABLE)
def test_mapping_that_cannot_be_built_is_refused_by_install(cli: Cli, source: Path, fault: str) -> None:
    """A type PostgreSQL does not know, or two things of one name, is one line; nothing is changed."""
    text, named = UNBUILDABLE[fault]
    with (cli.cwd / "cdcsync.toml").open("a") as settings:
        settings.write(text + "\n")
    refuses(cli, ("install",), source, REFUSED, named)


def test_unknown_settings_in_the_environment_are_usage_errors(cli: Cli, source: Path) -> None:
    """A misspelt CDCSYNC_ name is refused; what is meant for hooks is not."""
    before = fingerprint(source)
    for name in ("CDCSYNC_SORUCE", "cdcsync_tragte"):
        result = cli("install", expect=USAGE, environment={name: "x"})
        assert_one_line(result, name)
    result = cli("install", expect=USAGE, environment={"CDCSYNC_POLL_SECONDS": "soon"})
    assert_one_line(result, "poll_seconds")
    for name in ("CDCSYNC_TABLES", "CDCSYNC_HOOKS"):
        assert_one_line(cli("install", expect=USAGE, environment={name: "my_table"}), name)
    assert_one_line(cli("install", expect=USAGE, environment={"CDCSYNC_SOURCE": ""}), "no source is named")
    assert fingerprint(source) == before
    cli("plan", environment={"CDCSYNC_HOOK_STATE": "x"})


@pytest.mark.parametrize(
    "arguments",
    [
        ("instal",),
        ("install", "--sorce", "x"),
        ("run", "--dry-run"),
        ("verify", "--table", "nothing"),
        ("drain", "--timeout", "soon"),
        ("run", "--poll-seconds", "never"),
        ("install", "--config", "missing.toml"),
        ("config", "shwo"),
        ("unit", "extra"),
    ],
    ids=" ".join,
)
def test_faulty_command_line_is_a_usage_error(cli: Cli, source: Path, arguments: tuple[str, ...]) -> None:
    """An unknown verb, option, value or table is exit 2 and one line."""
    if arguments[0] == "verify":
        cli("install")
        cli("run", "--once")
    refuses(cli, arguments, source, USAGE)


def test_an_option_before_the_verb_is_told_where_it_goes(cli: Cli) -> None:
    """Options follow the verb; no verb at all prints the verbs, and no empty complaint."""
    assert_one_line(cli("--config", "cdcsync.toml", "status", expect=USAGE), "options follow the verb")
    assert cli(expect=USAGE).err == ""


def test_a_file_that_cannot_be_written_is_one_line(cli: Cli, source: Path) -> None:
    """With its name; nothing is changed."""
    before = fingerprint(source)
    assert_one_line(cli("plan", "--write", "missing/plan.toml", expect=REFUSED), "missing/plan.toml")
    assert fingerprint(source) == before


def test_a_default_is_not_said_to_come_from_the_file(cli: Cli) -> None:
    """`config show` names the file for what stands in it only."""
    (cli.cwd / "cdcsync.toml").write_text('source = "app.db"\n')
    shown = cli("config", "show", "--json").json
    assert shown["state_dir"] == {"value": str(cli.cwd / ".cdcsync"), "from": "default"}
    assert shown["source"]["from"] == str(cli.cwd / "cdcsync.toml")


def test_no_source_named_is_a_usage_error(cli: Cli) -> None:
    """Without a settings file and --source the line says where a source is named."""
    for verb in TYPICAL_VERBS:
        is_lag = verb[0] == "lag"
        assert_one_line(cli(*verb, expect=UNKNOWN if is_lag else USAGE), "--source", lag=is_lag)
