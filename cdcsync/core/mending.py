"""The line of the mapping that lets refused values arrive, where there is one."""

from __future__ import annotations

from cdcsync.core.facts import Facts
from cdcsync.core.types import parse
from cdcsync.words.nouns import ColumnPlan, StorageClass
from cdcsync.words.settings import ColumnMapping

_ALWAYS: dict[str, dict[str, object]] = {
    "nul": {"on_nul": "strip"},
    "bad_utf8": {"on_bad_utf8": "strip"},
    "naive_time": {"naive": "utc"},
    "null_in_not_null": {"not_null": False},
    "json_nul": {"type": "json"},
    "duplicate_key": {"type": "json"},
}
# Values that are wrong in themselves: no type would make them right.
_NEVER = {"null_key", "empty_text"}


def mending(column: ColumnPlan, code: str, facts: Facts, *, key: bool) -> dict[str, object] | None:
    """Return what to say of a column so that values refused for `code` arrive; None if nothing would do.

    Of the types that hold all storage classes found, the nearest to the one the column has.
    """
    if code in _ALWAYS or code in _NEVER:
        return _ALWAYS.get(code)
    if code == "epoch" and facts.epoch is not None and not key:
        return {"type": "timestamptz", "format": facts.epoch}
    name = parse(column.type_sql)
    if code == "rounding" and name.sizes and "blob" not in facts.found:
        return {"type": name.base}
    if code == "rounding" and name.base.startswith("timestamp") and column.format == "iso" and not key:
        return {"on_finer": "truncate"}
    if code in {"offset_lost", "has_time"} and facts.found == {"text"} and not key:
        return {"type": "timestamptz"}
    return _by_classes(name.base, facts.found, key=key)


def _by_classes(base: str, found: set[StorageClass], *, key: bool) -> dict[str, object] | None:
    wanted = "text"
    if found == {"blob"}:
        wanted = "bytea"
    elif found == {"integer"}:
        wanted = "bigint"
    elif found == {"real"}:
        wanted = "double precision"
    elif found == {"integer", "real"}:
        wanted = "numeric"
    if wanted == base and wanted != "bytea":
        wanted = "text"
    # Nothing holds both text and bytes, and in a key 1 and '1' are two rows, which text would make one.
    mixed = len(found) > 1 and ("blob" in found or key)
    return None if mixed or wanted == base else {"type": wanted}


def told_anew(told: ColumnMapping, values: dict[str, object]) -> ColumnMapping:
    """Return a column's mapping with these values in it; another type drops what was said about the old one's times."""
    said = told.model_dump(exclude_unset=True)
    if "type" in values:
        said = {name: value for name, value in said.items() if name not in {"format", "naive"}}
    return ColumnMapping(**{**said, **values})
