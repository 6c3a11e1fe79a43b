"""The statements that build the target, and what of the source's schema they do not carry.

A column that SQLite compares without case (NOCASE) is kept unique by an index on lower(column COLLATE "C"),
which folds ASCII letters only, as NOCASE does; RTRIM by one on rtrim(column, ' '). This concerns text types
only: other types hold no letters. Where such a column is in the key, the plain constraint comes first, for
upserts need it.

A CHECK is split where AND joins its parts, and each part is carried that surely means the same. The mapping's
own default or check stands in for what the source says at that column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NoReturn, TypeAlias

from psycopg import sql

from cdcsync.core.expressions import (
    Declaration,
    Scope,
    UntranslatableError,
    collated,
    column_term,
    condition,
    conjuncts,
    declarations,
    index_text,
    kind_of,
    sent_literal,
    text_literal,
    tokens,
    translate,
)
from cdcsync.core.types import parse
from cdcsync.words.nouns import (
    Column,
    ColumnPlan,
    ForeignKey,
    Index,
    NotCarried,
    SourceSchema,
    TablePlan,
    TargetStatement,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Phase: TypeAlias = Literal["table", "default", "check", "unique", "index", "foreign_key"]

_PHASES: tuple[Phase, ...] = ("table", "default", "check", "unique", "index", "foreign_key")

_TABLE = sql.SQL("CREATE TABLE {} (\n    {}\n)")
_KEY = sql.SQL("CONSTRAINT {} {} ({})")
_DEFAULT = sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {}")
_CHECK = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} CHECK ({})")
_UNIQUE = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} UNIQUE ({})")
_UNIQUE_INDEX = sql.SQL("CREATE UNIQUE INDEX {} ON {} ({}){}")
_INDEX = sql.SQL("CREATE INDEX {} ON {} ({}){}")
_FOREIGN_KEY = sql.SQL(
    "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({}) "
    "ON UPDATE {} ON DELETE {}{} NOT VALID"
)
_GENERATED = sql.SQL("ALTER TABLE {} DROP COLUMN {}, ADD COLUMN {} {} GENERATED ALWAYS AS ({}) STORED")
_COMMA = sql.SQL(", ")

_NAME_BYTES = 63
_ACTIONS = frozenset({"NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"})
# Types without an order, which no index of the usual kind takes.
_NOT_INDEXABLE = frozenset({"json", "xml", "point"})


def target_ddl(
    schema: SourceSchema, plans: Sequence[TablePlan], target_schema: str
) -> tuple[tuple[TargetStatement, ...], tuple[NotCarried, ...]]:
    """Return the statements that build the tables of `plans`, by phase, and what they do not carry.

    `table` in both is the name of the source table.
    """
    build = _Build(schema, target_schema, {plan.name: _Moved.of(plan) for plan in plans})
    moved = tuple(build.moved.values())
    build.keep_names(moved)
    for each in (_table, _generated, _defaults, _checks, _unique, _indexes, _conflicts):
        for table in moved:
            each(build, table)
    for table in moved:
        for key in table.plan.table.foreign_keys:
            _foreign_key(build, table, key)
    ordered = sorted(build.statements, key=lambda statement: _PHASES.index(statement.phase))
    return tuple(ordered), tuple(build.left)


# --- names ----------------------------------------------------------------------------------------


class _Names:
    """Names given out once each, within PostgreSQL's length."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = {_cut(name, _NAME_BYTES) for name in taken}

    def pick(self, wanted: str) -> str:
        name, number = _cut(wanted, _NAME_BYTES), 1
        while name in self.taken:
            number += 1
            suffix = f"_{number}"
            name = _cut(wanted, _NAME_BYTES - len(suffix)) + suffix
        self.taken.add(name)
        return name


def _cut(name: str, size: int) -> str:
    return name.encode()[:size].decode(errors="ignore")


# --- what is built --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Moved:
    """A table that is moved, with what its text declares; `key_index` is what keeps its key unique."""

    plan: TablePlan
    declared: tuple[Declaration, ...]
    scope: Scope
    primary: bool
    key_index: Index | None
    constraints: _Names = field(default_factory=_Names)
    unique_sets: list[frozenset[str]] = field(default_factory=list)

    @classmethod
    def of(cls, plan: TablePlan) -> _Moved:
        declared = declarations(plan.table.sql)
        scope = Scope(plan, {})
        for declaration in declared:
            if (
                declaration.kind == "collate"
                and (name := scope.source_name(declaration.column or "")) is not None
            ):
                scope = Scope(plan, {**scope.collations, name: declaration.text.upper()})
        key = {column.name for column in plan.key}
        index = next((i for i in plan.table.indexes if key and _is_plain(i) and _names(i) == key), None)
        return cls(plan, declared, scope, key == _primary(plan) and bool(key), index)

    def declared_name(self, kind: str, columns: Iterable[str]) -> str | None:
        """Return the name the source gives to a constraint over these columns."""
        wanted = {column.lower() for column in columns}
        found = (
            d for d in self.declared if d.kind == kind and {name.lower() for name in d.columns} == wanted
        )
        return next((declaration.name for declaration in found if declaration.name is not None), None)

    def target(self, source: str) -> str:
        """Return the name of a source column in the target."""
        return self.scope.column(source).target


def _is_plain(index: Index) -> bool:
    return index.unique and not index.partial and all(column.name is not None for column in index.columns)


def _names(index: Index) -> set[str | None]:
    return {column.name for column in index.columns}


def _primary(plan: TablePlan) -> set[str]:
    return {column.name for column in plan.table.columns if column.primary_key}


@dataclass(slots=True)
class _Build:
    """Statements and omissions as they come up; `kept` holds the target names of the source's own indexes."""

    schema: SourceSchema
    target_schema: str
    moved: dict[str, _Moved]
    names: _Names = field(default_factory=_Names)
    kept: dict[str, str] = field(default_factory=dict)
    statements: list[TargetStatement] = field(default_factory=list)
    left: list[NotCarried] = field(default_factory=list)

    def keep_names(self, moved: Iterable[_Moved]) -> None:
        """Give tables and the source's own indexes their names first: all others are of our making."""
        plans = [table.plan for table in moved]
        identities = [f"{plan.target}_{c.target}_seq" for plan in plans for c in plan.columns if c.identity]
        self.names = _Names([plan.target for plan in plans] + identities)
        own = [index.name for plan in plans for index in plan.table.indexes if index.origin == "c"]
        self.kept = {name: self.names.pick(name) for name in own}

    def add(self, phase: Phase, moved: _Moved, name: str, statement: sql.Composable) -> None:
        self.statements.append(TargetStatement(phase, moved.plan.name, name, statement.as_string()))

    def leave(
        self, moved: _Moved, what: str, reason: str | UntranslatableError, suggestion: str = ""
    ) -> None:
        if isinstance(reason, UntranslatableError):
            suggestion = reason.suggestion or suggestion
        self.left.append(NotCarried(moved.plan.name, what, str(reason), suggestion))

    def relation(self, moved: _Moved) -> sql.Composable:
        return sql.Identifier(self.target_schema, moved.plan.target)

    def constraint(self, moved: _Moved, wanted: str) -> str:
        """Name a UNIQUE or PRIMARY KEY constraint: its index shares the names of tables."""
        name = self.names.pick(wanted)
        moved.constraints.taken.add(name)
        return name


def _identifiers(names: Iterable[str]) -> sql.Composable:
    return _COMMA.join(sql.Identifier(name) for name in names)


def _verbatim(text: str) -> sql.Composable:
    return sql.SQL(text)


# --- tables ---------------------------------------------------------------------------------------


def _table(build: _Build, moved: _Moved) -> None:
    plan = moved.plan
    key = {column.name for column in plan.key}
    lines = [_column(column, not_null=moved.primary and column.source in key) for column in plan.columns]
    if plan.key:
        lines.append(_key(build, moved))
        moved.unique_sets.append(frozenset(key))
    body = sql.SQL(",\n    ").join(lines)
    build.add("table", moved, plan.target, _TABLE.format(build.relation(moved), body))


def _column(column: ColumnPlan, *, not_null: bool) -> sql.Composable:
    parts = [sql.Identifier(column.target), _verbatim(column.type_sql)]
    if column.identity:
        parts.append(sql.SQL("GENERATED BY DEFAULT AS IDENTITY"))
    if column.not_null or not_null:
        parts.append(sql.SQL("NOT NULL"))
    return sql.SQL(" ").join(parts)


def _key(build: _Build, moved: _Moved) -> sql.Composable:
    columns = [column.target for column in moved.plan.key_plans]
    kind = "primary" if moved.primary else "unique"
    wanted = moved.declared_name(kind, (column.source for column in moved.plan.key_plans))
    if moved.primary:
        name = build.constraint(moved, wanted or f"{moved.plan.target}_pkey")
    elif moved.key_index is not None and moved.key_index.name in build.kept:
        name = build.kept[moved.key_index.name]
        moved.constraints.taken.add(name)
    else:
        name = build.constraint(moved, wanted or "_".join([moved.plan.target, *columns, "key"]))
    word = sql.SQL("PRIMARY KEY" if moved.primary else "UNIQUE")
    return _KEY.format(sql.Identifier(name), word, _identifiers(columns))


def _generated(build: _Build, moved: _Moved) -> None:
    texts = {d.column: d.text for d in moved.declared if d.kind == "generated"}
    for column in moved.plan.columns:
        if not moved.plan.table.column(column.source).generated:
            continue
        suggestion = (
            "after the cutover, add it again with GENERATED ALWAYS AS (..) STORED in PostgreSQL's words"
        )
        try:
            text = translate(texts.get(column.source, ""), moved.scope).code
        except UntranslatableError as error:
            suggestion = f"{suggestion}: {error}"
        else:
            name = sql.Identifier(column.target)
            statement = _GENERATED.format(build.relation(moved), name, name, _verbatim(column.type_sql), text)
            suggestion = f"after the cutover: {statement.as_string()}"
        build.leave(moved, f"generated column {column.source}", "it arrives as a plain column", suggestion)


# --- defaults -------------------------------------------------------------------------------------


def _defaults(build: _Build, moved: _Moved) -> None:
    for column in moved.plan.columns:
        source = moved.plan.table.column(column.source)
        text = column.default if column.default is not None else source.default
        if not text or (column.default is None and (column.identity or source.generated)):
            continue
        try:
            if column.default is not None and column.identity:
                _refuse(
                    "an identity column takes its value from its sequence", "leave out identity or default"
                )
            default = (
                _verbatim(text) if column.default is not None else default_sql(source, column, moved.plan)
            )
        except UntranslatableError as error:
            what = f"default of {column.source}: {text}"
            build.leave(moved, what, error, f"give default = .. in [tables.{moved.plan.name}.columns]")
            continue
        if default is not None:
            named = sql.Identifier(column.target)
            build.add("default", moved, column.target, _DEFAULT.format(build.relation(moved), named, default))


def _refuse(reason: str, suggestion: str = "") -> NoReturn:
    raise UntranslatableError(reason, suggestion)


def default_sql(source: Column, column: ColumnPlan, plan: TablePlan) -> sql.Composable | None:
    """Return a default of the source as PostgreSQL says it for the column's type; None for NULL.

    A constant becomes what a row with it would have become. UntranslatableError if there is no equivalent.
    """
    text = _normal(source.default or "")
    if text == "null":
        return None
    constant = _constant(text)
    if constant is not None:
        value = _stored(constant, source, strict=plan.table.strict)
        storage = _STORAGE[type(value)]
        return sent_literal(column, storage, value)
    moment = _moment(text)
    if moment is not None:
        return _moment_sql(moment, column)
    random = _random(text, kind_of(column.type_sql))
    if random is not None:
        return sql.SQL(random)
    return _computed(text, column, plan)


_STORAGE: dict[type, Literal["integer", "real", "text", "blob"]] = {
    int: "integer",
    float: "real",
    str: "text",
    bytes: "blob",
}


def _normal(text: str) -> str:
    """Write a default one way: lower case, no comments, spaces between words only, no outer parentheses."""
    pieces: list[str] = []
    last = ""
    for token in tokens(text):
        wordy = token.kind in {"word", "number"}
        pieces.append(" " if wordy and last in {"word", "number"} else "")
        pieces.append(token.text.lower() if token.kind == "word" else token.text)
        last = token.kind
    return _without_parentheses("".join(pieces))


def _without_parentheses(text: str) -> str:
    found = tokens(text)
    depth = 0
    for place, token in enumerate(found):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0 and place < len(found) - 1:
            return text
    enclosed = len(found) > 1 and found[0].text == "(" and found[-1].text == ")"
    return _without_parentheses(text[1:-1]) if enclosed else text


def _constant(text: str) -> int | float | str | bytes | None:
    """Return the value of a constant; a bare word or a double-quoted one is a text to SQLite."""
    sign = -1 if text.startswith("-") else 1
    found = tokens(text.lstrip("+-") if text[:1] in {"+", "-"} else text)
    if len(found) != 1 or found[0].text in _CLOCK_WORDS:
        return None
    token = found[0]
    if token.kind == "number":
        return sign * _number(token.text)
    if token.kind == "string" and token.text[0] in "xX":
        return (
            bytes.fromhex(token.text[2:-1]) if re.fullmatch(r"..(?:[0-9a-fA-F]{2})*.", token.text) else None
        )
    if token.text in {"true", "false"}:
        return int(token.text == "true")
    return token.name if token.kind in {"string", "name", "word"} else None


# More may not fit an integer, and SQLite then takes the number for a float.
_SAFE_DIGITS = 19


def _number(text: str) -> int | float:
    if text[:2] in {"0x", "0X"}:
        return int(text, 16)
    return int(text) if text.isdecimal() and len(text) < _SAFE_DIGITS else float(text)


def _stored(value: float | str | bytes, column: Column, *, strict: bool) -> int | float | str | bytes:
    """Return what SQLite stores for a constant in this column (sqlite.org/datatype3.html, section 3)."""
    declared = column.declared_type.upper()
    if isinstance(value, bytes) or (strict and declared == "ANY"):
        return value
    if "INT" not in declared and any(word in declared for word in ("CHAR", "CLOB", "TEXT")):
        return value if isinstance(value, str) else repr(value)
    if "INT" not in declared and ("BLOB" in declared or not declared):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", value):
        value = int(value) if re.fullmatch(r"\s*[+-]?\d+\s*", value) else float(value)
    if isinstance(value, str):
        return value
    if "INT" not in declared and any(word in declared for word in ("REAL", "FLOA", "DOUB")):
        return float(value)
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**63 else value


# --- the present moment as a default --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Moment:
    """Now, `shift` seconds on, as `form`: a template of to_char, or "epoch" (times `scale`), or "julian"."""

    form: str
    shift: int = 0
    scale: int = 1
    fraction: bool = False


_DAY, _CLOCK = "YYYY-MM-DD", "HH24:MI:SS"
_CLOCK_WORDS = {
    "current_timestamp": f"{_DAY} {_CLOCK}",
    "current_date": _DAY,
    "current_time": _CLOCK,
}
_CLOCK_CALLS = {
    "datetime": f"{_DAY} {_CLOCK}",
    "date": _DAY,
    "time": _CLOCK,
    "unixepoch": "epoch",
    "julianday": "julian",
}
_CODES = {
    "Y": "YYYY",
    "m": "MM",
    "d": "DD",
    "H": "HH24",
    "M": "MI",
    "S": "SS",
    "f": "SS.MS",
    "j": "DDD",
    "F": _DAY,
    "T": _CLOCK,
    "R": "HH24:MI",
    "%": '"%"',
}
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_CALL = re.compile(r"(\w+)\(((?:'(?:[^']|'')*',?)*)\)")
_STRING = re.compile(r"'((?:[^']|'')*)'")
_JULIAN_SECONDS = re.compile(r"\(?julianday\('now'\)-2440587\.5\)?\*86400(000)?(?:\.0)?")


def _moment(text: str) -> _Moment | None:
    """Recognise an expression of the present moment; None if it is none."""
    if text in _CLOCK_WORDS:
        return _Moment(_CLOCK_WORDS[text])
    cast = re.fullmatch(r"(?:cast\((.+?) ?as (?:integer|int|bigint)\)|round\((.+)\))", text)
    scaled = re.fullmatch(r"(.+)\*1000(?:\.0)?", text)
    julian = _JULIAN_SECONDS.fullmatch(text)
    if julian is not None:
        return _Moment("epoch", scale=1000 if julian[1] else 1, fraction=True)
    if cast is not None:
        return _moment(_without_parentheses(cast[1] or cast[2]))
    if scaled is not None:
        inner = _moment(_without_parentheses(scaled[1]))
        return _Moment("epoch", inner.shift, 1000) if inner is not None and inner.form == "epoch" else None
    call = _CALL.fullmatch(text)
    if call is None:
        return None
    return _moment_of_call(call[1], [part.replace("''", "'") for part in _STRING.findall(call[2])])


def _moment_of_call(name: str, arguments: list[str]) -> _Moment | None:
    form = _CLOCK_CALLS.get(name)
    if name == "strftime" and arguments:
        form = {"%s": "epoch", "%J": "julian"}.get(arguments[0]) or _template(arguments[0])
        arguments = arguments[1:]
    if form is None or (arguments and arguments[0].lower() != "now"):
        return None
    shift = 0
    for modifier in arguments[1:]:
        moved = re.fullmatch(r"([+-]?\d+) (second|minute|hour|day)s?", modifier)
        if moved is None and modifier not in {"utc", "subsec", "subsecond"}:
            _refuse(f"the modifier {modifier!r} has no equivalent here")
        if moved is not None:
            shift += int(moved[1]) * _UNITS[moved[2]]
        elif modifier != "utc":
            form = form.replace("SS", "SS.MS")
    return _Moment(form, shift)


def _template(form: str) -> str:
    pieces = []
    for code, plain in re.findall(r"%(.)|([^%]+|%)", form, flags=re.DOTALL):
        if (code and code not in _CODES) or plain == "%" or '"' in plain or "\\" in plain:
            _refuse(f"the format {form!r} has no equivalent in to_char")
        quoted = f'"{plain}"' if any(letter.isalnum() for letter in plain) else plain
        pieces.append(_CODES[code] if code else quoted)
    return "".join(pieces)


def _moment_sql(moment: _Moment, column: ColumnPlan) -> sql.Composable:
    shifted = sql.SQL("(CURRENT_TIMESTAMP + INTERVAL {})").format(text_literal(f"{moment.shift} seconds"))
    now = shifted if moment.shift else sql.SQL("CURRENT_TIMESTAMP")
    utc = sql.SQL("{} AT TIME ZONE 'UTC'").format(now)
    kind, number = kind_of(column.type_sql), moment.form in {"epoch", "julian"}
    has_day, has_clock = _DAY in moment.form, "HH24:MI" in moment.form
    if kind == "time" and (number or has_day):
        zoned = parse(column.type_sql).base.endswith("with time zone")
        if not number and not has_clock:
            day = sql.SQL("date_trunc('day', {})").format(utc)
            return sql.SQL("{} AT TIME ZONE 'UTC'").format(day) if zoned else day
        return now if zoned else utc
    if kind == "date" and has_day:
        return sql.SQL("CAST({} AS date)").format(utc)
    if kind == "clock" and has_clock:
        return sql.SQL("CAST({} AS time)").format(utc)
    if kind == "text":
        return sql.SQL("CAST({} AS text)").format(_epoch(moment, now)) if number else _as_text(moment, utc)
    if kind in {"integer", "numeric", "float"}:
        return _as_number(moment, now, utc)
    message = f"the present moment in this form does not fit {column.type_sql}"
    raise UntranslatableError(message)


def _as_text(moment: _Moment, utc: sql.Composable) -> sql.Composable:
    return sql.SQL("to_char({}, {})").format(utc, text_literal(moment.form))


def _as_number(moment: _Moment, now: sql.Composable, utc: sql.Composable) -> sql.Composable:
    if moment.form == "julian":
        return sql.SQL("extract(epoch FROM {}) / 86400.0 + 2440587.5").format(now)
    if moment.form == "epoch":
        return _epoch(moment, now)
    if re.search(r"[^YMDHIS24]", moment.form):
        _refuse("SQLite would keep this time as text in a column of numbers")
    return sql.SQL("CAST({} AS bigint)").format(_as_text(moment, utc))


def _epoch(moment: _Moment, now: sql.Composable) -> sql.Composable:
    if moment.form == "julian":
        _refuse("PostgreSQL writes fractions in other digits")
    seconds = sql.SQL("extract(epoch FROM {})").format(now)
    if moment.fraction and moment.scale > 1:
        return sql.SQL("CAST(floor({} * {}) AS bigint)").format(seconds, sql.SQL(str(moment.scale)))
    whole = sql.SQL("CAST(floor({}) AS bigint)").format(seconds)
    return sql.SQL("{} * {}").format(whole, sql.SQL(str(moment.scale))) if moment.scale > 1 else whole


# --- other defaults -------------------------------------------------------------------------------

_HEX = re.compile(r"(lower\(|upper\()?hex\(randomblob\(16\)\)\)?")
_RANDOM = re.compile(r"\b(randomblob|random)\(")


def _random(text: str, kind: str) -> str | None:
    """Return PostgreSQL's way to a random value of the same form; None if the text asks for none."""
    if _RANDOM.search(text) is None:
        return None
    versioned = "'-4'" in text and "randomblob" in text and "89ab" in text.lower()
    lower = text.startswith("lower(")
    if kind == "uuid" and "randomblob" in text:
        return "gen_random_uuid()"
    if kind == "bytea" and text == "randomblob(16)":
        return "uuid_send(gen_random_uuid())"
    if kind == "text" and versioned:
        return "CAST(gen_random_uuid() AS text)" if lower else "upper(CAST(gen_random_uuid() AS text))"
    if kind == "text" and _HEX.fullmatch(text):
        digits = "replace(CAST(gen_random_uuid() AS text), '-', '')"
        return digits if lower else f"upper({digits})"
    reason = "PostgreSQL has no random value of this form of its own"
    raise UntranslatableError(
        reason, "encode(gen_random_bytes(n), 'hex') of the extension pgcrypto may serve"
    )


def _computed(text: str, column: ColumnPlan, plan: TablePlan) -> sql.Composable:
    """Translate what is left: a document of json(), or an expression of constants."""
    document = re.fullmatch(r"jsonb?\(('(?:[^']|'')*')\)|(json_array|json_object)\(\)", text)
    if document is not None:
        empty = {"json_array": "[]", "json_object": "{}"}.get(document[2] or "")
        return sent_literal(column, "text", empty or tokens(document[1])[0].name)
    term = translate(text, Scope(plan, {}))
    wanted, numbers = kind_of(column.type_sql), {"integer", "numeric", "float"}
    if term.kind != wanted and not (term.kind == "integer" and wanted in numbers):
        message = f"it gives a value of kind {term.kind} for a column of type {column.type_sql}"
        raise UntranslatableError(message)
    return term.code


# --- checks ---------------------------------------------------------------------------------------


def _checks(build: _Build, moved: _Moved) -> None:
    for column in moved.plan.columns:
        if column.check:
            name = moved.constraints.pick(f"{moved.plan.target}_{column.target}_check")
            text = _CHECK.format(build.relation(moved), sql.Identifier(name), _verbatim(column.check))
            build.add("check", moved, name, text)
    checks = [declaration for declaration in moved.declared if declaration.kind == "check"]
    for place, declaration in enumerate(checks, start=1):
        _check(build, moved, declaration, place)


def _check(build: _Build, moved: _Moved, declaration: Declaration, place: int) -> None:
    column = moved.scope.source_name(declaration.column or "")
    plan = next((c for c in moved.plan.columns if c.source == column), None)
    what = f"CHECK {declaration.name}" if declaration.name else "CHECK"
    if plan is not None and plan.check:
        build.leave(moved, f"{what} ({declaration.text})", f"the mapping gives {column} a check of its own")
        return
    carried = []
    for text, found in conjuncts(declaration.text, moved.scope):
        if isinstance(found, UntranslatableError):
            suggestion = f"give check = .. in [tables.{moved.plan.name}.columns], or add it after the cutover"
            build.leave(moved, f"{what} ({text})", found, suggestion)
        else:
            carried.append(found)
    if not carried:
        return
    middle = plan.target if plan is not None else place
    name = moved.constraints.pick(declaration.name or f"{moved.plan.target}_{middle}_check")
    whole = sql.SQL(" AND ").join(term.inner if len(carried) > 1 else term.code for term in carried)
    build.add("check", moved, name, _CHECK.format(build.relation(moved), sql.Identifier(name), whole))


# --- indexes --------------------------------------------------------------------------------------


def _unique(build: _Build, moved: _Moved) -> None:
    rowid = moved.plan.table.rowid_key
    if (
        rowid is not None
        and not moved.primary
        and any(column.source == rowid for column in moved.plan.columns)
    ):
        # The mapping chose another key: an INTEGER PRIMARY KEY has no index that would be met below.
        name = build.constraint(moved, f"{moved.plan.target}_{moved.target(rowid)}_key")
        columns = _identifiers([moved.target(rowid)])
        build.add("unique", moved, name, _UNIQUE.format(build.relation(moved), sql.Identifier(name), columns))
        moved.unique_sets.append(frozenset({rowid}))
    for index in moved.plan.table.indexes:
        if index.unique:
            _index(build, moved, index)


def _indexes(build: _Build, moved: _Moved) -> None:
    for index in moved.plan.table.indexes:
        if not index.unique:
            _index(build, moved, index)


def _index(build: _Build, moved: _Moved, index: Index) -> None:
    what = (
        f"index {index.name}"
        if index.origin == "c"
        else f"UNIQUE ({', '.join(map(str, _index_columns(index)))})"
    )
    try:
        terms, plain = _terms(build, moved, index, what)
        where = _where(moved, index)
    except UntranslatableError as error:
        build.leave(moved, what, error, "create an equivalent index after the cutover")
        return
    if index is moved.key_index and plain:
        return
    if plain and not where.as_string() and index.unique:
        moved.unique_sets.append(frozenset(name for name in _names(index) if name is not None))
    columns = _COMMA.join(terms)
    if plain and index.origin != "c":
        wanted = moved.declared_name("unique", _index_columns(index)) or _generated_name(moved, index)
        name = build.constraint(moved, wanted)
        build.add("unique", moved, name, _UNIQUE.format(build.relation(moved), sql.Identifier(name), columns))
        return
    own = index.origin == "c" and index is not moved.key_index
    name = build.kept[index.name] if own else build.names.pick(_generated_name(moved, index))
    skeleton = _UNIQUE_INDEX if index.unique else _INDEX
    statement = skeleton.format(sql.Identifier(name), build.relation(moved), columns, where)
    build.add("unique" if index.unique else "index", moved, name, statement)


def _index_columns(index: Index) -> list[str]:
    return [column.name if column.name is not None else "an expression" for column in index.columns]


def _generated_name(moved: _Moved, index: Index) -> str:
    columns = (moved.target(column.name) for column in index.columns if column.name is not None)
    return "_".join([moved.plan.target, *columns, "key"])


def _terms(build: _Build, moved: _Moved, index: Index, what: str) -> tuple[list[sql.Composable], bool]:
    """Return the terms of an index, and whether they are plain columns."""
    scope = Scope(moved.plan, moved.scope.collations, exact=index.unique)
    texts = index_text(index.sql)[0] if index.sql else []
    terms, plain = [], True
    for place, column in enumerate(index.columns):
        if column.name is not None:
            term = column_term(scope.column(column.name))
            _refuse_unordered(scope.column(column.name))
        else:
            term = translate(texts[place] if place < len(texts) else "", scope)
        if term.kind == "text" and (term.column is None or parse(term.column.type_sql).base != "citext"):
            try:
                term = collated(term, column.collation)
            except UntranslatableError as error:
                build.leave(
                    moved, f"collation {column.collation} of {what}", error, "it compares bytes instead"
                )
        named = column.name is not None and term.column is not None
        plain = plain and named
        code = (
            term.code
            if named or re.match(r"[\w]+\(", term.code.as_string())
            else sql.SQL("({})").format(term.code)
        )
        terms.append(sql.SQL("{} DESC").format(code) if column.descending else code)
    return terms, plain


def _refuse_unordered(column: ColumnPlan) -> None:
    if parse(column.type_sql).base in _NOT_INDEXABLE:
        _refuse(
            f"{column.source} is {column.type_sql}, which PostgreSQL does not index like this", "use jsonb"
        )


def _where(moved: _Moved, index: Index) -> sql.Composable:
    if not index.partial:
        return sql.SQL("")
    text = index_text(index.sql)[1] if index.sql else None
    return sql.SQL(" WHERE {}").format(condition(text or "", moved.scope))


def _conflicts(build: _Build, moved: _Moved) -> None:
    for declaration in moved.declared:
        if declaration.kind == "conflict" and declaration.text.upper() in {"REPLACE", "IGNORE"}:
            where = declaration.column or "a constraint of the table"
            what = f"ON CONFLICT {declaration.text.upper()} at {where}"
            reason = "PostgreSQL has it in statements only, not in the schema"
            build.leave(moved, what, reason, "write INSERT .. ON CONFLICT in the application")


# --- foreign keys ---------------------------------------------------------------------------------


def _foreign_key(build: _Build, moved: _Moved, key: ForeignKey) -> None:
    what = f"foreign key ({', '.join(key.columns)}) to {key.parent} ({', '.join(key.parent_columns)})"
    try:
        parent = _parent(build, key)
        pairs = list(_pairs(moved, parent, key))
    except UntranslatableError as error:
        build.leave(moved, what, error)
        return
    names = _lowered(key.columns)
    declared = [d for d in moved.declared if d.kind == "foreign" and _lowered(d.columns) == names]
    given = next((d.name for d in declared if d.name is not None), None)
    children = [child.target for child, _ in pairs]
    name = moved.constraints.pick(given or "_".join([moved.plan.target, *children, "fkey"]))
    statement = _FOREIGN_KEY.format(
        build.relation(moved),
        sql.Identifier(name),
        _identifiers(children),
        build.relation(parent),
        _identifiers(column.target for _, column in pairs),
        _action(key.on_update),
        _action(key.on_delete),
        sql.SQL(" DEFERRABLE INITIALLY DEFERRED" if any(d.deferred for d in declared) else ""),
    )
    build.add("foreign_key", moved, name, statement)


def _lowered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


def _action(action: str) -> sql.Composable:
    return sql.SQL(action.upper() if action.upper() in _ACTIONS else "NO ACTION")


def _parent(build: _Build, key: ForeignKey) -> _Moved:
    parent = next((m for name, m in build.moved.items() if name.lower() == key.parent.lower()), None)
    if parent is None:
        known = {table.name.lower() for table in build.schema.tables}
        why = (
            "is left out by the mapping"
            if key.parent.lower() in known
            else "is not among the tables that are moved"
        )
        _refuse(f"{key.parent} {why}")
    if (
        frozenset(parent.scope.source_name(name) or name for name in key.parent_columns)
        not in parent.unique_sets
    ):
        listed = ", ".join(key.parent_columns)
        _refuse(
            f"{key.parent} ({listed}) is not unique in PostgreSQL", "give the parent a plain UNIQUE there"
        )
    return parent


def _pairs(moved: _Moved, parent: _Moved, key: ForeignKey) -> Iterator[tuple[ColumnPlan, ColumnPlan]]:
    if len(key.columns) != len(key.parent_columns):
        _refuse("it names another number of columns than it refers to")
    for child_name, parent_name in zip(key.columns, key.parent_columns, strict=False):
        child = moved.scope.column(moved.scope.source_name(child_name) or child_name)
        column = parent.scope.column(parent.scope.source_name(parent_name) or parent_name)
        if not can_refer(child.type_sql, column.type_sql):
            reason = f"{child_name} is {child.type_sql}, {key.parent}.{parent_name} is {column.type_sql}"
            _refuse(reason, "give both columns one type in the mapping")
        yield child, column


_FAMILIES: tuple[frozenset[str], ...] = (
    frozenset({"smallint", "integer", "bigint"}),
    frozenset({"real", "double precision"}),
    frozenset({"text", "character varying", "character"}),
    frozenset({"timestamp with time zone", "timestamp without time zone", "date"}),
)
# What PostgreSQL casts to the parent's type by itself.
_WIDENED = {
    "smallint": {"numeric", "real", "double precision"},
    "integer": {"numeric", "real", "double precision"},
    "bigint": {"numeric", "real", "double precision"},
    "numeric": {"real", "double precision"},
    "citext": {"text", "character varying", "character"},
}


def can_refer(child: str, parent: str) -> bool:
    """Tell whether PostgreSQL takes a foreign key from a column of one type to a column of another."""
    one, other = parse(child).base, parse(parent).base
    return (
        one == other or other in _WIDENED.get(one, ()) or any({one, other} <= family for family in _FAMILIES)
    )
