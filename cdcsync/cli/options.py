"""Every scalar setting is an option of every verb: made from the settings' own fields, so none is forgotten."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from cdcsync.cli.log import set_up_logging
from cdcsync.machine.context import Context
from cdcsync.words.errors import GaveUpError, TargetError
from cdcsync.words.settings import Loaded, Settings, load, public_name

EMBEDDED_ENDS = (
    "the private PostgreSQL stops with the last cdcsync process: keep cdcsync psql open while the application uses it"
)

_STRUCTURED = {"hooks", "tables"}
_PANEL = "Settings"

Verb = Callable[..., int]

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Settings file; else ./cdcsync.toml", metavar="FILE")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def with_settings(verb: Verb) -> Verb:
    """Give a verb `--config` and an option for each scalar setting; it receives them merged, as `loaded`."""
    own = list(inspect.signature(verb, eval_str=True).parameters.values())
    settings = {public_name(name): field for name, field in Settings.model_fields.items() if name not in _STRUCTURED}

    @functools.wraps(verb)
    def wrapper(**given: Any) -> int:
        options = {name: given.pop(name) for name in settings}
        loaded = load(given.pop("config"), options)
        set_up_logging(loaded.settings.log_level, loaded.settings.log_format)
        return verb(loaded, **given)

    parameters = [parameter for parameter in own if parameter.name != "loaded"]
    parameters.append(_parameter("config", ConfigOption))
    for name, field in settings.items():
        flag = f"--{name.replace('_', '-')}"
        is_flag = field.annotation is bool
        declared = f"{flag}/--no-{name.replace('_', '-')}" if is_flag else flag
        option = typer.Option(declared, help=field.description, rich_help_panel=_PANEL, show_default=False)
        parameters.append(_parameter(name, Annotated[(bool if is_flag else str) | None, option]))
    # typer reads the signature; there is no other way to give it options that are made from data.
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return wrapper


def with_context(verb: Verb) -> Verb:
    """Give a verb its settings as an open `Context`, closed when it ends."""

    @functools.wraps(verb)
    def opened(loaded: Loaded, **given: Any) -> int:
        with Context(loaded.settings) as context:
            return verb(context, **given)

    parameters = list(inspect.signature(verb, eval_str=True).parameters.values())[1:]
    loaded = inspect.Parameter("loaded", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    opened.__signature__ = inspect.Signature([loaded, *parameters])  # type: ignore[attr-defined]
    return with_settings(opened)


def gave_up_when_unreachable(verb: Verb) -> Verb:
    """Make an unreachable target an open question (exit 3), as for the verbs that only ask."""

    @functools.wraps(verb)
    def asking(*args: Any, **given: Any) -> int:
        try:
            return verb(*args, **given)
        except TargetError as error:
            raise GaveUpError(str(error)) from None

    return asking


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
