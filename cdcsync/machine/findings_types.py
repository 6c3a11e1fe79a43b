"""Declared types that SQLite reads in ways few people expect."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cdcsync.core.mapping_file import short
from cdcsync.core.toml_text import columns_section
from cdcsync.core.types import default_type
from cdcsync.words.nouns import Finding, TablePlan
from cdcsync.words.settings import ColumnMapping, Settings

_INTEGERS = re.compile(r"\b(UNSIGNED|(TINY|SMALL|MEDIUM|BIG)?INT(EGER)?\d?)\b")
_NUMBERS = re.compile(r"\b(NUMERIC|DECIMAL|NUMBER|DEC)\b")


def odd_type_findings(plan: TablePlan, settings: Settings) -> Iterator[Finding]:
    """Name a table's odd types in one line, with what each falls to by SQLite's affinity."""
    mapped = settings.table(plan.name).columns
    odd = []
    for column in plan.columns:
        declared = plan.table.column(column.source).declared_type
        if mapped.get(column.source, ColumnMapping()).type is None and _is_odd(declared):
            odd.append(f"{column.source} {declared} is {short(column.type_sql)}")
    if odd:
        message = f"types of {plan.name} that only SQLite's affinity rules explain: {', '.join(odd)}"
        fix = f"name another type under {columns_section(plan.name)} where that is not meant"
        yield Finding("info", "odd_type", message, fix, plan.name)


def _is_odd(declared: str) -> bool:
    """POINT holds INT, and MONEY falls to a number, as everything does that SQLite does not know."""
    upper = declared.upper()
    default = default_type(declared)
    if default == "bigint":
        return not _INTEGERS.search(upper)
    if default is None:
        return upper.strip() not in {"", "ANY"}
    return default.startswith("numeric") and not _NUMBERS.search(upper)
