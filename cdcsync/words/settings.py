"""Settings and mapping: one TOML file, the environment over it, command line options over both."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from cdcsync.words.errors import UsageError
from cdcsync.words.nouns import FinerPolicy, TextPolicy

ENVIRONMENT_PREFIX = "CDCSYNC_"
DEFAULT_FILE = "cdcsync.toml"
DEFAULT_STATE_DIR = ".cdcsync"
# Names under the prefix that are addressed to hooks or to us, and are no settings.
NOT_SETTINGS = re.compile(r"CDCSYNC_(HOOK_.*|CONFIG)")

# How times are written, and UUIDs.
Format = Literal["iso", "epoch_s", "epoch_ms", "epoch_us", "julian", "hyphens", "upper", "hex", "blob"]


class ColumnMapping(BaseModel):
    """How one column arrives in PostgreSQL; whatever is not named has its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str | None = None
    target: str | None = None
    format: Format | None = None
    naive: Literal["utc", "refuse"] | None = None
    not_null: bool | None = None
    default: str | None = None
    check: str | None = None
    identity: bool | None = None
    on_nul: TextPolicy = "quarantine"
    on_bad_utf8: TextPolicy = "quarantine"
    on_finer: FinerPolicy = "quarantine"
    skip: bool = False


def _bare_type(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


class TableMapping(BaseModel):
    """How one table arrives in PostgreSQL."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: str | None = None
    skip: bool = False
    key: tuple[str, ...] | None = None
    columns: dict[str, Annotated[ColumnMapping, BeforeValidator(_bare_type)]] = Field(default_factory=dict)


class Hooks(BaseModel):
    """Commands run around a cutover."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    before_fence: str | None = None
    after_handover: str | None = None
    smoke_test: str | None = None
    on_abort: str | None = None
    after_rollback: str | None = None


class Settings(BaseSettings):
    """Everything a user can set. A field's description is its line in `--help` and in the README."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True)

    source: Path | None = Field(default=None, description="SQLite file of the application")
    target: str = Field(default="", description='libpq conninfo or URI; empty: PG*; "embedded": a private PostgreSQL')
    # Not named `schema`: pydantic's base class has a method of that name.
    target_schema: str = Field(
        default="public", validation_alias=AliasChoices("schema", "CDCSYNC_SCHEMA"), description="target schema"
    )
    state_dir: Path = Field(default=Path(DEFAULT_STATE_DIR), description="directory for cdcsync's own files")
    log_level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="least level logged"
    )
    log_format: Literal["text", "json"] = Field(default="text", description="text, or json for journald")
    poll_seconds: float = Field(default=0.2, gt=0, le=60, description="seconds between looks when no file event comes")
    copy_commit_rows: int = Field(default=200_000, ge=1, description="rows copied between two commits")
    apply_max_keys: int = Field(default=100_000, ge=1, description="most changelog entries in one cycle")
    prune_max_mb: int = Field(default=0, ge=0, description="changelog size above which it is pruned; 0: never")
    prune_min_hours: float = Field(default=24, ge=0, description="least age of an entry that may be pruned")
    new_tables: Literal["report", "capture"] = Field(
        default="report", description="what to do with tables created later"
    )
    app_busy_timeout: float = Field(default=5, ge=0, description="seconds the application waits for a lock")
    app_role: str = Field(default="", description="role the application uses in PostgreSQL")
    guard: bool = Field(default=True, description="refuse other sessions' writes to the target until the handover")
    read_max_wal_mb: int = Field(default=32, ge=1, description="WAL growth that ends one read transaction, MiB")
    verify_rows_per_second: int = Field(default=20_000, ge=0, description="rate of the background verification; 0: off")
    hook_timeout_seconds: float = Field(default=30, gt=0, description="seconds a hook may take")
    http: str = Field(default="", description="reserved")
    hooks: Hooks = Hooks()
    tables: dict[str, TableMapping] = Field(default_factory=dict)

    @field_validator("source", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("http")
    @classmethod
    def _reserved(cls, value: str) -> str:
        if value:
            message = "is reserved: leave it empty"
            raise ValueError(message)
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  the signature is pydantic-settings' own
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  read by `load`, which keeps each value's origin
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what `load` hands over: it merges the layers itself and keeps where each came from."""
        return (init_settings,)

    @property
    def source_path(self) -> Path:
        """The source; UsageError if none is named."""
        if self.source is None:
            message = "no source is named: use --source FILE, CDCSYNC_SOURCE or source = in cdcsync.toml"
            raise UsageError(message)
        return self.source

    def table(self, name: str) -> TableMapping:
        """Return the mapping of a table; an empty one if nothing is said about it."""
        return self.tables.get(name) or TableMapping()


class Loaded:
    """Settings in force, and for each where its value came from."""

    def __init__(self, settings: Settings, origins: dict[str, str], file: Path | None) -> None:
        """`origins` maps a setting's public name to "default", a file, an environment name or an option."""
        self.settings, self.origins, self.file = settings, origins, file


def public_name(field: str) -> str:
    """Return the name users write for a field of `Settings`."""
    return "schema" if field == "target_schema" else field


def load(config: Path | None, options: dict[str, Any]) -> Loaded:
    """Merge file, environment and options (public names; None means not given).

    Relative paths in the file are relative to the file, all others to the working directory.
    Raises UsageError, naming the place, for anything unknown or malformed.
    """
    file = _find_file(config)
    layers: list[tuple[str, dict[str, Any]]] = []
    if file is not None:
        layers.append((str(file), _from_file(file)))
    _refuse_unknown_environment()
    layers.append(("environment", _from_environment()))
    layers.append(("option", {name: value for name, value in options.items() if value is not None}))
    values: dict[str, Any] = {} if file is None else {"state_dir": str(file.parent / DEFAULT_STATE_DIR)}
    origins = {public_name(name): "default" for name in Settings.model_fields}
    for layer, content in layers:
        values.update(content)
        origins.update(dict.fromkeys(content, layer))
    try:
        return Loaded(Settings(**values), origins, file)
    except ValidationError as error:
        raise UsageError(_one_line(error, origins)) from None


def _find_file(config: Path | None) -> Path | None:
    if config is None and (named := os.environ.get(f"{ENVIRONMENT_PREFIX}CONFIG")):
        config = Path(named)
    if config is None:
        return Path(DEFAULT_FILE).absolute() if Path(DEFAULT_FILE).is_file() else None
    if not config.is_file():
        message = f"configuration file {config} does not exist: name another with --config"
        raise UsageError(message)
    return config.absolute()


def _from_file(file: Path) -> dict[str, Any]:
    try:
        content = TomlConfigSettingsSource(Settings, toml_file=file).toml_data
    except tomllib.TOMLDecodeError as error:
        message = f"{file} is not valid TOML: {error}"
        raise UsageError(message) from None
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file} cannot be read: {error}"
        raise UsageError(message) from None
    for name in ("source", "state_dir"):
        if content.get(name) and isinstance(content[name], str):
            content[name] = str(file.parent / content[name])
    return content


def _from_environment() -> dict[str, Any]:
    try:
        return EnvSettingsSource(Settings)()
    except SettingsError:
        # It says no more than which of the two it was, and quotes what was there.
        message = "environment: CDCSYNC_TABLES or CDCSYNC_HOOKS is no JSON: unset it, the file has tables and hooks"
        raise UsageError(message) from None


def _refuse_unknown_environment() -> None:
    known = {f"{ENVIRONMENT_PREFIX}{public_name(name)}".upper() for name in Settings.model_fields}
    for name in os.environ:
        ours = name.upper().startswith(ENVIRONMENT_PREFIX) and not NOT_SETTINGS.fullmatch(name.upper())
        if ours and name.upper() not in known:
            message = f"environment variable {name} names no setting: unset it, or see `cdcsync config show`"
            raise UsageError(message)


def _one_line(error: ValidationError, origins: dict[str, str]) -> str:
    faults = []
    for fault in error.errors():
        place = [str(part) for part in fault["loc"] if part != "function-before[_bare_type(), ColumnMapping]"]
        origin = origins.get(place[0], "settings") if place else "settings"
        what = "unknown name" if fault["type"] == "extra_forbidden" else fault["msg"].removeprefix("Value error, ")
        faults.append(f"{origin}: {'.'.join(place)}: {what}")
    return "; ".join(faults)
