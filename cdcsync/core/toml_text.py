"""Words of a settings file, as TOML spells them."""

from __future__ import annotations

import json


def toml_key(name: str) -> str:
    """Return a TOML key; bare where it may be."""
    bare = name.isascii() and name and all(c.isalnum() or c in "_-" for c in name)
    return name if bare else toml_value(name)


def toml_value(value: object) -> str:
    """Return a TOML value. JSON's strings, numbers, booleans and lists are TOML's, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def columns_section(table: str) -> str:
    """Return the heading under which a settings file speaks of a table's columns."""
    return f"[tables.{toml_key(table)}.columns]"


def table_rule(table: str, **said: object) -> str:
    """Return what a settings file would say of a table, in one line for a sentence."""
    return " ".join([f"[tables.{toml_key(table)}]", *(f"{name} = {toml_value(value)}" for name, value in said.items())])
