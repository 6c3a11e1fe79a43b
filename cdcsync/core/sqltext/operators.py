"""The operators both databases have: sqlglot's name of the node, PostgreSQL's sign."""

from __future__ import annotations

ORDERING = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
COMPARISONS = {
    "eq": "=",
    "neq": "<>",
    **ORDERING,
    "nullsafeeq": "IS NOT DISTINCT FROM",
    "nullsafeneq": "IS DISTINCT FROM",
}
ARITHMETIC = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "mod": "%",
    "bitwiseand": "&",
    "bitwiseor": "|",
}
# SQLite binds these in its own way, the parser not always alike: as operands of each other they are refused.
NEED_PARENTHESES = frozenset({*COMPARISONS, "is", "in", "between", "like", "glob", "escape", "not"})
