"""Write settings and mapping as TOML for people: proposals are live lines with their evidence as comment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cdcsync.core.target_names import Renamings
from cdcsync.core.toml_text import columns_section, toml_key, toml_value
from cdcsync.core.types import parse, uuid_format
from cdcsync.words.nouns import ColumnPlan, FinerPolicy, TablePlan
from cdcsync.words.settings import ColumnMapping, Settings, TableMapping, public_name

_SHORT = {
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
    "character varying": "varchar",
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A better type for a column, and what speaks for it; `format` and `naive` for times."""

    type: str
    evidence: str
    format: str | None = None
    naive: str | None = None
    on_finer: FinerPolicy | None = None

    @property
    def said(self) -> dict[str, str]:
        """What accepting it says of the column."""
        told = {"type": self.type, "format": self.format, "naive": self.naive, "on_finer": self.on_finer}
        return {name: value for name, value in told.items() if value is not None}


Proposals = Mapping[tuple[str, str], Proposal]
"""(table, column) -> proposal."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the data say: rows of each table, proposals, and remarks on columns that keep their type.

    `unread`: why the rows of a table were not read.
    """

    rows: Mapping[str, int]
    proposals: Proposals
    remarks: Mapping[tuple[str, str], str]
    unread: Mapping[str, str] = field(default_factory=dict)


def mapping_text(
    settings: Settings,
    origins: Mapping[str, str],
    plans: Sequence[TablePlan],
    evidence: Evidence,
    names: Renamings,
    *,
    beside: Path | None,
    target: str,
) -> str:
    """Return the file's text. `beside` is where it will lie: the source is named from there.

    `plans` have the proposed `names` in them already. `target` is the connection string without its password.
    Settings that have their default are left out.
    """
    lines = ["# Settings and mapping of cdcsync. Keeping a proposed line accepts it; every line can be edited."]
    source = settings.source_path.absolute()
    if beside is not None and source.parent == beside.absolute().parent:
        source = Path(source.name)
    lines.append(f"source = {toml_value(str(source))}")
    values = settings.model_dump(mode="json")
    for setting in type(settings).model_fields:
        name = public_name(setting)
        if origins.get(name, "default") != "default" and name not in {"source", "hooks", "tables", "state_dir"}:
            lines.append(f"{name} = {toml_value(target if name == 'target' else values[setting])}")
    if (state := _state_dir(settings.state_dir.absolute(), origins.get("state_dir", "default"), beside)) is not None:
        lines.append(f"state_dir = {toml_value(state)}")
    hooks = {name: command for name, command in values["hooks"].items() if command}
    if hooks:
        lines += ["", "[hooks]", *(f"{name} = {toml_value(command)}" for name, command in hooks.items())]
    for name, mapping in settings.tables.items():
        if mapping.skip:
            lines += ["", f"[tables.{toml_key(name)}]", "skip = true"]
    for plan in plans:
        lines += _table_lines(plan, settings.table(plan.name), evidence, names)
    return "\n".join(lines) + "\n"


def _state_dir(state: Path, origin: str, beside: Path | None) -> str | None:
    """Return how the file names the directory, from where it will lie; None where that is the default of the file."""
    if origin == "default" or (beside is None and origin != "option"):
        return None
    if beside is None or not state.is_relative_to(beside.absolute().parent):
        return str(state)
    place = state.relative_to(beside.absolute().parent)
    return None if place == Path(Settings.model_fields["state_dir"].default) else str(place)


def _table_lines(plan: TablePlan, mapping: TableMapping, evidence: Evidence, names: Renamings) -> list[str]:
    unread = evidence.unread.get(plan.name)
    said = f"{evidence.rows.get(plan.name, 0):,} rows" if unread is None else f"not read: {_one_line(unread)}"
    lines = ["", f"[tables.{toml_key(plan.name)}]   # {said}"]
    if plan.target != plan.name:
        renaming = names.get((plan.name, None))
        lines.append(f"target = {toml_value(plan.target)}" + (f"   # {renaming.why}" if renaming else ""))
    if "skip" in mapping.model_fields_set:
        lines.append("skip = false")
    if mapping.key is not None:
        lines.append(f"key = {toml_value(list(mapping.key))}")
    if not plan.key:
        lines.append("# no key: the table is copied whole, by the snapshot and again by drain")
    lines.append(columns_section(plan.name))
    for column in plan.columns:
        told = mapping.columns.get(column.source, ColumnMapping())
        place = (plan.name, column.source)
        comment = f"{names[place].why}; " if place in names else ""
        if place in names:
            told = told.model_copy(update={"target": column.target})
        lines.append(_column_line(plan, column, told, evidence, comment))
    lines += [f"{toml_key(name)} = {{ skip = true }}" for name, told in mapping.columns.items() if told.skip]
    return lines


def _column_line(plan: TablePlan, column: ColumnPlan, told: ColumnMapping, evidence: Evidence, comment: str) -> str:
    place = (plan.name, column.source)
    declared = plan.table.column(column.source).declared_type
    implied = uuid_format(declared)
    proposal = evidence.proposals.get(place)
    if proposal is None:
        # What came from a parent's key has to be said here, where its type is.
        if told.format is None and column.format != (implied or "iso"):
            told = told.model_copy(update={"format": column.format})
        comment += "; ".join(filter(None, (_one_line(declared) or "no type", evidence.remarks.get(place))))
        return f"{toml_key(column.source)} = {_written(short(column.type_sql), told)}   # {comment}"
    rest = told.model_copy(update=proposal.said)
    if proposal.type == "uuid" and proposal.format is None and implied is not None:
        rest = rest.model_copy(update={"format": "hyphens"})
    comment += f"proposed: {proposal.evidence}; without this line {short(column.type_sql)}"
    return f"{toml_key(column.source)} = {_written(proposal.type, rest)}   # {comment}"


def _one_line(text: str) -> str:
    """Return a text as a comment can hold it: a declared type may have line ends in it."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _written(type_sql: str, told: ColumnMapping) -> str:
    said = told.model_dump(exclude_unset=True, exclude={"type", "skip"})
    values = {"type": type_sql, **{name: value for name, value in said.items() if value is not None}}
    if len(values) == 1:
        return toml_value(type_sql)
    return "{ " + ", ".join(f"{name} = {toml_value(value)}" for name, value in values.items()) + " }"


def short(type_sql: str) -> str:
    """Return a type in the spelling people use in a mapping."""
    name = parse(type_sql)
    base = _SHORT.get(name.base, name.base)
    return f"{base}({','.join(map(str, name.sizes))})" if name.sizes else base


def column_rule(table: str, column: str, type_sql: str, told: ColumnMapping) -> str:
    """Return the two lines of a settings file that say this of a column, whatever its name."""
    return f"{columns_section(table)}\n{toml_key(column)} = {_written(short(told.type or type_sql), told)}"
