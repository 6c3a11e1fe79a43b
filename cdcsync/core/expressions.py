"""SQLite's own SQL text taken apart, and its expressions said in PostgreSQL or refused with the reason.

Tables are read with a tokeniser of SQLite's lexis: no parser accepts every column definition SQLite does,
and constraints begin with reserved words. Expressions are parsed with sqlglot, but written here: PostgreSQL
is strict about types where SQLite compares anything with anything, so each part is translated knowing the
column types of the target, and whatever is not known to mean the same is refused. NOCASE and LIKE ignore
case for ASCII letters only, which is what lower(x COLLATE "C") does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from psycopg import sql

from cdcsync.core.convert import convert, rule_for
from cdcsync.core.quoting import sqlite_name
from cdcsync.core.types import parse

if TYPE_CHECKING:
    from sqlglot import exp

    from cdcsync.words.nouns import ColumnPlan, StorageClass, TablePlan, Value

Kind: TypeAlias = Literal[
    "boolean",
    "integer",
    "numeric",
    "float",
    "text",
    "bytea",
    "uuid",
    "json",
    "time",
    "date",
    "clock",
    "other",
    "null",
]

_KINDS: dict[str, Kind] = {
    "boolean": "boolean",
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
    "numeric": "numeric",
    "real": "float",
    "double precision": "float",
    "text": "text",
    "character varying": "text",
    "character": "text",
    "citext": "text",
    "bytea": "bytea",
    "uuid": "uuid",
    "json": "json",
    "jsonb": "json",
    "timestamp with time zone": "time",
    "timestamp without time zone": "time",
    "date": "date",
    "time without time zone": "clock",
}
NUMBERS = frozenset({"integer", "numeric", "float"})


class UntranslatableError(ValueError):
    """A text without sure equivalent in PostgreSQL; the message says why, `suggestion` what to do instead."""

    def __init__(self, reason: str, suggestion: str = "") -> None:
        """Keep both for the list of what is not carried."""
        super().__init__(reason)
        self.suggestion = suggestion


# --- SQLite's text --------------------------------------------------------------------------------

_LEXIS = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<string>[xX]?'(?:[^']|'')*')
    |(?P<name>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
    |(?P<word>[^\W\d][\w$]*)
    |(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """A token of SQLite's with its place in the text; `kind` is a group of `_LEXIS`."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """A bare word in upper case; empty for anything else."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """The identifier this token spells."""
        if self.kind == "name":
            return (
                self.text[1:-1].replace(self.text[-1] * 2, self.text[-1])
                if self.text[0] != "["
                else self.text[1:-1]
            )
        return self.text[1:-1].replace("''", "'") if self.kind == "string" else self.text


def tokens(text: str) -> list[Token]:
    """Take a text apart as SQLite does, without spaces and comments."""
    found = (Token(match.lastgroup or "", match.group(), *match.span()) for match in _LEXIS.finditer(text))
    return [token for token in found if token.kind != "space"]


def closing(part: Sequence[Token], opening: int) -> int:
    """Return the place of the parenthesis that closes the one at `opening`; the end if there is none."""
    depth = 0
    for place in range(opening, len(part)):
        depth += {"(": 1, ")": -1}.get(part[place].text, 0)
        if depth == 0:
            return place
    return len(part) - 1


def _group(part: Sequence[Token], place: int) -> tuple[Sequence[Token], int]:
    """Return what stands between the parentheses at `place`, if any open there, and the place after them."""
    if place >= len(part) or part[place].text != "(":
        return (), place
    end = closing(part, place)
    return part[place + 1 : end], end + 1


def _split(part: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Split at the commas that stand in no parenthesis."""
    depth = start = 0
    for place, token in enumerate(part):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and depth == 0:
            yield part[start:place]
            start = place + 1
    yield part[start:]


def _between(text: str, part: Sequence[Token]) -> str:
    return text[part[0].start : part[-1].end] if part else ""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One constraint as a CREATE TABLE spells it.

    `column` is the one it stands at, None at the table's end. `text` is the expression of a check or
    generated column, the name of a collation, the action of ON CONFLICT.
    """

    kind: Literal["check", "unique", "primary", "foreign", "collate", "generated", "conflict"]
    name: str | None
    column: str | None
    columns: tuple[str, ...] = ()
    text: str = ""
    deferred: bool = False


_TABLE_LEVEL = frozenset({"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"})
_DEFERRED = re.compile(r"(?<!NOT )\bDEFERRABLE INITIALLY DEFERRED")


def declarations(create_table: str) -> tuple[Declaration, ...]:
    """Return the constraints of a CREATE TABLE in the order of its text."""
    whole = tokens(create_table)
    opening = next((place for place, token in enumerate(whole) if token.text == "("), len(whole))
    body, _ = _group(whole, opening)
    return tuple(found for part in _split(body) if part for found in _definition(create_table, part))


def _definition(text: str, part: Sequence[Token]) -> Iterator[Declaration]:
    column = None if part[0].word in _TABLE_LEVEL else part[0].name
    name: str | None = None
    columns: tuple[str, ...] = (column,) if column is not None else ()
    place = 0 if column is None else 1
    while place < len(part):
        word, after = part[place].word, place + 1
        inner, end = _group(part, after + (word in {"PRIMARY", "FOREIGN"}))
        named = tuple(item[0].name for item in _split(inner) if item) or columns
        if word == "CONSTRAINT" and after < len(part):
            name, end = part[after].name, after + 1
        elif word in {"CHECK", "AS"}:
            kind: Literal["check", "generated"] = "check" if word == "CHECK" else "generated"
            yield Declaration(kind, name, column, text=_between(text, inner))
        elif word in {"PRIMARY", "UNIQUE"}:
            yield Declaration("primary" if word == "PRIMARY" else "unique", name, column, named)
        elif word == "FOREIGN":
            columns = named
        elif word == "REFERENCES":
            yield Declaration("foreign", name, column, columns, deferred=_is_deferred(part[after:]))
        elif word in {"COLLATE", "CONFLICT"} and after < len(part):
            yield Declaration(
                "collate" if word == "COLLATE" else "conflict", name, column, columns, part[after].name
            )
        name = name if word in {"CONSTRAINT", "FOREIGN"} else None
        place = end if inner or word in {"CONSTRAINT", "PRIMARY", "FOREIGN"} else after


def _is_deferred(rest: Sequence[Token]) -> bool:
    words = [token.word for token in rest]
    stop = next(
        (place for place, word in enumerate(words) if word in {*_TABLE_LEVEL, "REFERENCES"}), len(words)
    )
    return _DEFERRED.search(" ".join(words[:stop])) is not None


def index_text(create_index: str) -> tuple[list[str], str | None]:
    """Return the terms of a CREATE INDEX without collation and direction, and its WHERE if it has one."""
    whole = tokens(create_index)
    on = next((place for place, token in enumerate(whole) if token.word == "ON"), 0)
    opening = next((place for place in range(on, len(whole)) if whole[place].text == "("), len(whole))
    inner, end = _group(whole, opening)
    where = create_index[whole[end].end :].strip().rstrip(";") if end < len(whole) else None
    return [_between(create_index, _bare(term)) for term in _split(inner)], where


def _bare(term: Sequence[Token]) -> Sequence[Token]:
    if term and term[-1].word in {"ASC", "DESC"}:
        term = term[:-1]
    named = [token.word for token in term[-2:-1]] == ["COLLATE"]
    return term[:-2] if named else term


# --- meaning --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean inside one table. `collations` maps source columns that declare one to it, in capitals.

    `exact`: lower() and upper() change ASCII letters only, as in SQLite, which a CHECK or unique index needs;
    otherwise they are PostgreSQL's own, which is what queries will say that hope for an index.
    """

    plan: TablePlan
    collations: Mapping[str, str]
    exact: bool = True

    def source_name(self, name: str) -> str | None:
        """Return the exact spelling of a source column; None if there is none."""
        return next((c.name for c in self.plan.table.columns if c.name.lower() == name.lower()), None)

    def column(self, name: str) -> ColumnPlan:
        """Return the plan of a source column of exactly this name; UntranslatableError if it is left out."""
        for column in self.plan.columns:
            if column.source == name:
                return column
        message = f"the mapping leaves out the column {name}"
        raise UntranslatableError(message)


@dataclass(frozen=True, slots=True)
class Term:
    """A piece of PostgreSQL with what is known of its value.

    `operator` is set where the piece needs parentheses as an operand; `literal` is a constant's value.
    """

    code: sql.Composable
    kind: Kind
    literal: str | float | None = None
    column: ColumnPlan | None = None
    collation: str = ""
    explicit: bool = False
    operator: str = ""

    @property
    def inner(self) -> sql.Composable:
        """The piece as an operand."""
        return sql.SQL("({})").format(self.code) if self.operator else self.code

    def says(self) -> str:
        """Name the piece for people."""
        if self.column is not None:
            return f"{self.column.source}, which is {self.column.type_sql} in PostgreSQL,"
        return (
            f"the constant {self.literal!r}" if self.literal is not None else f"a value of kind {self.kind}"
        )


def kind_of(type_sql: str) -> Kind:
    """Return what the values of a PostgreSQL type are to an expression."""
    return _KINDS.get(parse(type_sql).base, "other")


def column_term(column: ColumnPlan, collation: str = "BINARY") -> Term:
    """Return a reference to a column of the target, with the collation the source's column has."""
    return Term(sql.Identifier(column.target), kind_of(column.type_sql), column=column, collation=collation)


def text_literal(value: str) -> sql.Composable:
    """Quote a text; psycopg puts a space before the ones it has to escape."""
    return sql.SQL(sql.Literal(value).as_string().strip())


def sent_literal(column: ColumnPlan, storage: StorageClass, value: Value) -> sql.Composable:
    """Write a value of the source as it arrives in this column; UntranslatableError if it cannot."""
    try:
        sent = convert(rule_for(column, key=False), column, storage, value)
    except (ValueError, ArithmeticError) as error:
        raise UntranslatableError(str(error)) from None
    kind = kind_of(column.type_sql)
    if isinstance(sent, bytes):
        return sql.SQL("'\\x{}'::bytea").format(sql.SQL(sent.hex()))
    if kind == "boolean":
        return sql.SQL("true" if sent else "false")
    if kind in NUMBERS and isinstance(sent, str):
        return sql.SQL(sent)
    return text_literal(sent) if isinstance(sent, str) else sql.SQL(sql.Literal(sent).as_string().strip())


def collated(term: Term, collation: str) -> Term:
    """Return a text so that PostgreSQL's equality says what this collation of SQLite says."""
    if collation.upper() in {"", "BINARY"}:
        return term
    if collation.upper() == "RTRIM":
        return replace(term, code=sql.SQL("rtrim({}, ' ')").format(term.code), operator="", column=None)
    if collation.upper() != "NOCASE":
        message = f"PostgreSQL has no collation {collation}"
        raise UntranslatableError(message)
    if isinstance(term.literal, str):
        return _constant(_ascii_lower(term.literal))
    return replace(term, code=sql.SQL('lower({} COLLATE "C")').format(term.inner), operator="", column=None)


def _ascii_lower(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def _constant(value: str) -> Term:
    return Term(text_literal(value), "text", value)


def truth(term: Term) -> Term:
    """Return the term as a condition: SQLite takes any number but 0 for true."""
    if term.kind == "integer" and term.literal in (0, 1):
        return Term(sql.SQL("true" if term.literal else "false"), "boolean")
    if term.kind in NUMBERS:
        return Term(sql.SQL("{} <> 0").format(term.inner), "boolean", operator="<>")
    if term.kind not in {"boolean", "null"}:
        message = f"{term.says()} is used as a condition"
        raise UntranslatableError(message)
    return term


def number(term: Term) -> Term:
    """Return the term as a number: a condition counts 0 or 1, a time its epoch if the source keeps that."""
    if term.kind in NUMBERS or term.kind == "null":
        return term
    if term.kind == "boolean":
        if term.literal is not None:
            return Term(sql.SQL(str(term.literal)), "integer", term.literal)
        return Term(sql.SQL("CAST({} AS integer)").format(term.code), "integer")
    if term.kind == "time" and term.column is not None and term.column.format in _EPOCHS:
        # AT TIME ZONE makes the expression immutable, so that an index may use it.
        zoned = (
            "{} AT TIME ZONE 'UTC'" if parse(term.column.type_sql).base.endswith("with time zone") else "{}"
        )
        moment = sql.SQL(zoned).format(term.inner)
        seconds = sql.SQL("extract(epoch FROM {})").format(moment)
        scale = _EPOCHS[term.column.format]
        scaled = sql.SQL("{} * {}").format(seconds, sql.SQL(scale)) if scale else seconds
        return Term(scaled, "numeric", operator="*" if scale else "")
    message = f"{term.says()} is used as a number"
    raise UntranslatableError(message)


_EPOCHS = {"epoch_s": "", "epoch_ms": "1000", "epoch_us": "1000000"}


def written(term: Term) -> Term:
    """Return the term as text, where both databases write it alike."""
    if term.kind in {"text", "null"}:
        return term
    if term.kind == "integer":
        if term.literal is not None:
            return _constant(str(term.literal))
        return Term(sql.SQL("CAST({} AS text)").format(term.code), "text")
    message = f"{term.says()} is used as text"
    raise UntranslatableError(message)


# --- translation ----------------------------------------------------------------------------------


def translate(text: str, scope: Scope) -> Term:
    """Translate an expression; UntranslatableError with the reason if that is not sure to mean the same."""
    try:
        return _Translator(scope).term(_parsed(text, scope))
    except RecursionError:
        raise UntranslatableError(_TOO_DEEP) from None


def condition(text: str, scope: Scope) -> sql.Composable:
    """Translate an expression used as a condition, such as the WHERE of an index."""
    return truth(translate(text, scope)).code


def conjuncts(text: str, scope: Scope) -> list[tuple[str, Term | UntranslatableError]]:
    """Translate a CHECK part by part: those joined by AND hold each on their own, NULL included."""
    translator = _Translator(scope)
    found: list[tuple[str, Term | UntranslatableError]] = []
    try:
        for node in _conjuncts(_parsed(text, scope)):
            try:
                found.append((node.sql(dialect="sqlite"), truth(translator.term(node))))
            except UntranslatableError as error:
                found.append((node.sql(dialect="sqlite"), error))
    except UntranslatableError as error:
        return [(text, error)]
    except RecursionError:
        return [(text, UntranslatableError(_TOO_DEEP))]
    return found


# More may not fit an integer, and SQLite then takes the number for a float.
_SAFE_DIGITS = 19
_TOO_DEEP = "the expression is nested too deeply"


def _conjuncts(node: exp.Expression) -> Iterator[exp.Expression]:
    while node.key == "paren":
        node = node.this
    if node.key == "and":
        yield from _conjuncts(node.this)
        yield from _conjuncts(node.expression)
    else:
        yield node


def _parsed(text: str, scope: Scope) -> exp.Expression:
    # Imported late: it costs memory and time that the daemon, which translates nothing, should not pay.
    from sqlglot import parse_one  # noqa: PLC0415
    from sqlglot.errors import SqlglotError  # noqa: PLC0415

    try:
        tree = parse_one("SELECT " + _names_quoted(text, scope), read="sqlite")
    except SqlglotError as error:
        message = f"it cannot be parsed: {str(error).splitlines()[0]}"
        raise UntranslatableError(message) from None
    if tree.key != "select" or len(tree.expressions) != 1:
        message = "it is no single expression"
        raise UntranslatableError(message)
    found: exp.Expression = tree.expressions[0]
    return found


def _names_quoted(text: str, scope: Scope) -> str:
    """Quote columns, which a parser may take for its keywords; drop comments, and hexadecimal numbers."""
    found = tokens(text)
    operators = {"LIKE", "GLOB", "REGEXP", "MATCH", "CAST", "CASE", "NOT"}
    if any(token.word == "CASE" for token in found):
        operators.add("END")
    pieces, last = [], 0
    for token, following in zip_longest(found, found[1:]):
        pieces.append(" " if token.start > last else "")
        name = scope.source_name(token.text) if token.word and token.word not in operators else None
        call = following is not None and following.text == "("
        plain = str(int(token.text, 16)) if token.text[:2] in {"0x", "0X"} else token.text
        pieces.append(plain if name is None or call else sqlite_name(name))
        last = token.end
    return "".join(pieces)


_ORDERING = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_COMPARISONS = {
    "eq": "=",
    "neq": "<>",
    **_ORDERING,
    "nullsafeeq": "IS NOT DISTINCT FROM",
    "nullsafeneq": "IS DISTINCT FROM",
}
_ARITHMETIC = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "mod": "%",
    "bitwiseand": "&",
    "bitwiseor": "|",
}
# SQLite binds these in its own way, the parser not always alike: as operands of each other they are refused.
_NEED_PARENTHESES = frozenset({*_COMPARISONS, "is", "in", "between", "like", "glob", "escape", "not"})


class _Translator:
    """Translates the nodes of one expression; each method returns what PostgreSQL knows of the value."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def term(self, node: exp.Expression) -> Term:
        handler = _HANDLERS.get(node.key)
        if handler is None:
            raise _unknown(node)
        handle, known = handler
        if node.key != "case" and known.startswith("this") and node.args.get("this") is None:
            raise _unknown(node)
        given = {name for name, value in node.args.items() if value not in (None, False, [])}
        if given - {*known.split(), *_MEANINGLESS}:
            message = f"{node.sql(dialect='sqlite')} says more than is understood"
            raise UntranslatableError(message)
        return handle(self, node)

    def _terms(self, nodes: Iterable[exp.Expression]) -> list[Term]:
        return [self.term(node) for node in nodes]

    def _operands(self, node: exp.Expression, *names: str) -> list[Term]:
        operands = [node.args.get(name) for name in names or ("this", "expression")]
        for operand in operands:
            if operand is None:
                raise _unknown(node)
            if operand.key in _NEED_PARENTHESES:
                message = f"{node.sql(dialect='sqlite')} mixes comparisons without parentheses"
                raise UntranslatableError(message)
        return self._terms(operand for operand in operands if operand is not None)

    def column(self, node: exp.Expression) -> Term:
        name = self._scope.source_name(node.name)
        if name is not None:
            return column_term(self._scope.column(name), self._scope.collations.get(name, "BINARY"))
        if node.this.args.get("quoted") and not node.args.get("table"):
            # SQLite takes a double-quoted name that is no column for a string.
            return _constant(node.name)
        message = f"{node.name} is no column that arrives"
        raise UntranslatableError(message)

    def literal(self, node: exp.Expression) -> Term:
        if node.is_string:
            return _constant(node.name)
        digits = node.name.replace("_", "")
        if digits.isdecimal() and len(digits) < _SAFE_DIGITS:
            return Term(sql.SQL(digits), "integer", int(digits))
        return Term(sql.SQL(digits), "float", float(digits))

    def blob(self, node: exp.Expression) -> Term:
        return Term(sql.SQL("'\\x{}'::bytea").format(sql.SQL(node.name)), "bytea")

    def boolean(self, node: exp.Expression) -> Term:
        return Term(sql.SQL("true" if node.this else "false"), "boolean", int(node.this))

    def null(self, _: exp.Expression) -> Term:
        return Term(sql.SQL("NULL"), "null")

    def paren(self, node: exp.Expression) -> Term:
        return self.term(node.this)

    def negative(self, node: exp.Expression) -> Term:
        term = number(self.term(node.this))
        value = -term.literal if isinstance(term.literal, int | float) else None
        return Term(
            sql.SQL("-{}").format(term.inner), term.kind, value, operator="" if value is not None else "-"
        )

    def junction(self, node: exp.Expression) -> Term:
        word = node.key.upper()
        sides = [truth(term) for term in self._terms([node.this, node.expression])]
        left, right = (side.code if side.operator == word else side.inner for side in sides)
        return Term(sql.SQL("{} {} {}").format(left, sql.SQL(word), right), "boolean", operator=word)

    def negation(self, node: exp.Expression) -> Term:
        bare = node.this.unnest()
        if bare.key == "is":
            return self.identity(bare, negated=True)
        if bare.key == "in":
            return self.membership(bare, negated=True)
        return Term(sql.SQL("NOT {}").format(truth(self.term(node.this)).inner), "boolean", operator="NOT")

    def comparison(self, node: exp.Expression) -> Term:
        left, right = self._operands(node)
        return self._compared(left, _COMPARISONS[node.key], right, ordering=node.key in _ORDERING)

    def _compared(self, left: Term, operator: str, right: Term, *, ordering: bool = False) -> Term:
        left, right = comparable(left, right, ordering=ordering)
        text = sql.SQL("{} {} {}").format(left.inner, sql.SQL(operator), right.inner)
        return Term(text, "boolean", operator=operator)

    def identity(self, node: exp.Expression, *, negated: bool = False) -> Term:
        left, right = self._operands(node)
        if right.kind == "null" or (right.kind == "boolean" and node.expression.key == "boolean"):
            words = "{} IS NOT {}" if negated else "{} IS {}"
            side = left if right.kind == "null" else truth(left)
            return Term(sql.SQL(words).format(side.inner, right.code), "boolean", operator="IS")
        return self._compared(left, _COMPARISONS["nullsafeneq" if negated else "nullsafeeq"], right)

    def membership(self, node: exp.Expression, *, negated: bool = False) -> Term:
        left, *items = [*self._operands(node, "this"), *self._terms(node.expressions)]
        if left.kind == "boolean" and any(
            _as_boolean(item) is None and item.kind != "null" for item in items
        ):
            left = number(left)
        pairs = [comparable(left, item) for item in items]
        if not pairs or any(pair[0].code != pairs[0][0].code for pair in pairs):
            message = "its values are of different types"
            raise UntranslatableError(message)
        listed = sql.SQL(", ").join(pair[1].code for pair in pairs)
        words = "{} NOT IN ({})" if negated else "{} IN ({})"
        return Term(sql.SQL(words).format(pairs[0][0].inner, listed), "boolean", operator="IN")

    def between(self, node: exp.Expression) -> Term:
        value, low, high = self._operands(node, "this", "low", "high")
        lower, upper = comparable(value, low, ordering=True), comparable(value, high, ordering=True)
        text = sql.SQL("{} >= {} AND {} <= {}").format(*(side.inner for side in (*lower, *upper)))
        return Term(text, "boolean", operator="AND")

    def like(self, node: exp.Expression, escape: str = "") -> Term:
        value, pattern = (written(term) for term in self._operands(node))
        if escape and (not isinstance(pattern.literal, str) or not _may_escape(escape, pattern.literal)):
            message = f"its ESCAPE {escape!r} cannot be used alike in PostgreSQL"
            raise UntranslatableError(message)
        cased = pattern.literal is None or any(x.isascii() and x.isalpha() for x in str(pattern.literal))
        sides = [collated(side, "NOCASE") if cased else side for side in (value, pattern)]
        words = "{} NOT LIKE {}" if node.args.get("negate") else "{} LIKE {}"
        text = sql.SQL(words).format(*(side.inner for side in sides))
        if escape or pattern.literal is None or "\\" in str(pattern.literal):
            # SQLite has no escape character unless one is named, PostgreSQL the backslash.
            text = sql.SQL("{} ESCAPE {}").format(text, text_literal(escape))
        return Term(text, "boolean", operator="LIKE")

    def escape(self, node: exp.Expression) -> Term:
        if node.this.key != "like" or not node.expression.is_string or len(node.expression.name) != 1:
            raise _unknown(node)
        return self.like(node.this, node.expression.name)

    def glob(self, node: exp.Expression) -> Term:
        value, pattern = (written(term) for term in self._operands(node))
        if not isinstance(pattern.literal, str):
            message = "the pattern of its GLOB is not constant"
            raise UntranslatableError(message)
        regex = text_literal(glob_regex(pattern.literal))
        text = sql.SQL('{} COLLATE "C" ~ {}').format(value.inner, regex)
        return Term(text, "boolean", operator="~")

    def arithmetic(self, node: exp.Expression) -> Term:
        if "dpipe" in {node.this.key, node.expression.key}:
            message = f"{node.sql(dialect='sqlite')} mixes || with arithmetic without parentheses"
            raise UntranslatableError(message)
        left, right = (number(term) for term in self._operands(node))
        kind = _widest({left.kind, right.kind})
        if (node.key in {"mod", "bitwiseand", "bitwiseor"} and kind != "integer") or (node.key, kind) == (
            "div",
            "numeric",
        ):
            message = f"{node.sql(dialect='sqlite')} computes otherwise on numbers that are no integers"
            raise UntranslatableError(message)
        divisor = right.inner
        if node.key in {"div", "mod"} and not right.literal:
            # SQLite gives NULL where PostgreSQL raises an error.
            divisor = sql.SQL("nullif({}, 0)").format(right.code)
        operator = _ARITHMETIC[node.key]
        return Term(
            sql.SQL("{} {} {}").format(left.inner, sql.SQL(operator), divisor), kind, operator=operator
        )

    def joined(self, node: exp.Expression) -> Term:
        if _ARITHMETIC.keys() & {node.this.key, node.expression.key}:
            message = f"{node.sql(dialect='sqlite')} mixes || with arithmetic without parentheses"
            raise UntranslatableError(message)
        left, right = (written(term) for term in self._operands(node))
        return Term(sql.SQL("{} || {}").format(left.inner, right.inner), "text", operator="||")

    def collation(self, node: exp.Expression) -> Term:
        above = node.parent
        while above is not None and above.key == "paren":
            above = above.parent
        if above is None or above.key not in {*_COMPARISONS, "is", "in", "between", "select"}:
            message = f"{node.sql(dialect='sqlite')} reaches further than it seems to"
            raise UntranslatableError(message)
        return replace(self.term(node.this), collation=node.expression.name.upper(), explicit=True)

    def length(self, node: exp.Expression) -> Term:
        term = self.term(node.this)
        measured = term if term.kind == "bytea" else written(term)
        return Term(sql.SQL("length({})").format(measured.code), "integer")

    def case_changed(self, node: exp.Expression) -> Term:
        term = written(self.term(node.this))
        words = '{}({} COLLATE "C")' if self._scope.exact else "{}({})"
        return Term(
            sql.SQL(words).format(sql.SQL(node.key), term.inner if self._scope.exact else term.code), "text"
        )

    def absolute(self, node: exp.Expression) -> Term:
        term = number(self.term(node.this))
        return Term(sql.SQL("abs({})").format(term.code), term.kind)

    def trimmed(self, node: exp.Expression) -> Term:
        name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position") or ""), "btrim")
        sides = [
            written(self.term(node.args[side])) for side in ("this", "expression") if node.args.get(side)
        ]
        return self._call(name, "text", sides)

    def position(self, node: exp.Expression) -> Term:
        return self._call(
            "strpos", "integer", [written(term) for term in self._operands(node, "this", "substr")]
        )

    def replacement(self, node: exp.Expression) -> Term:
        sides = self._operands(node, "this", "expression", "replacement")
        if sides[1].literal in (None, ""):
            raise _unknown(node)
        return self._call("replace", "text", [written(side) for side in sides])

    def part(self, node: exp.Expression) -> Term:
        whole, *bounds = self._operands(
            node, "this", "start", *(["length"] if node.args.get("length") else [])
        )
        if (
            not all(isinstance(bound.literal, int) and bound.literal >= 0 for bound in bounds)
            or not bounds[0].literal
        ):
            message = "substr() counts from the end, or by a value, in a way PostgreSQL does not"
            raise UntranslatableError(message)
        return self._call("substr", "text", [written(whole), *bounds])

    def nullified(self, node: exp.Expression) -> Term:
        left, right = comparable(*self._operands(node))
        return replace(self._call("nullif", left.kind, [left, right]), column=left.column)

    def coalesced(self, node: exp.Expression) -> Term:
        terms = unified(self._terms([node.this, *node.expressions]))
        first = next((term for term in terms if term.kind != "null"), terms[0])
        called = self._call("coalesce", _widest({term.kind for term in terms}), terms)
        return replace(called, column=first.column)

    def case(self, node: exp.Expression) -> Term:
        whens = [self._when(node.this, branch) for branch in node.args["ifs"]]
        results = unified(self._terms(self._results(node.args["ifs"], node.args.get("default"))))
        return self._cases(whens, results)

    def either(self, node: exp.Expression) -> Term:
        results = unified(self._terms(self._results([node], node.args.get("false"))))
        return self._cases([truth(self.term(node.this))], results)

    def _when(self, base: exp.Expression | None, branch: exp.Expression) -> Term:
        if base is None:
            return truth(self.term(branch.this))
        return self._compared(self.term(base), "=", self.term(branch.this))

    def _results(
        self, branches: Iterable[exp.Expression], default: exp.Expression | None
    ) -> list[exp.Expression]:
        results = [branch.args["true"] for branch in branches]
        return [*results, default] if default is not None else results

    def _cases(self, whens: Sequence[Term], results: Sequence[Term]) -> Term:
        pieces = [
            sql.SQL("WHEN {} THEN {}").format(when.code, result.code)
            for when, result in zip(whens, results, strict=False)
        ]
        if len(results) > len(whens):
            pieces.append(sql.SQL("ELSE {}").format(results[-1].code))
        kind = _widest({result.kind for result in results})
        return Term(sql.SQL("CASE {} END").format(sql.SQL(" ").join(pieces)), kind)

    def cast(self, node: exp.Expression) -> Term:
        term, wanted = self.term(node.this), node.args["to"].this.name
        if wanted == "TEXT":
            return written(term)
        if wanted in {"INT", "BIGINT"} and number(term).kind == "integer":
            return number(term)
        if wanted in {"DOUBLE", "FLOAT"} and number(term).kind in {"integer", "float"}:
            return Term(sql.SQL("CAST({} AS double precision)").format(number(term).code), "float")
        message = f"{node.sql(dialect='sqlite')} reads numbers in a way PostgreSQL does not"
        raise UntranslatableError(message)

    def json_value(self, node: exp.Expression) -> Term:
        term = self.term(node.this)
        path = node.args.get("expression")
        parts = path.expressions if path is not None and path.key == "jsonpath" else []
        names = [str(part.this) for part in parts[1:] if part.key in {"jsonpathkey", "jsonpathsubscript"}]
        if term.kind != "json" or not names or len(names) + 1 != len(parts) or self._scope.exact:
            message = "it takes a value out of JSON, whose type PostgreSQL cannot know"
            suggestion = "add it by hand with -> or ->> and the cast it needs"
            raise UntranslatableError(message, suggestion)
        listed = sql.SQL(", ").join(text_literal(name) for name in names)
        return Term(sql.SQL("{} #>> ARRAY[{}]").format(term.inner, listed), "text", operator="#>>")

    def day(self, node: exp.Expression) -> Term:
        term = self.term(node.this)
        if term.kind == "date":
            return term
        if term.kind != "time" or term.column is None or term.column.format != "iso":
            raise _unknown(node)
        zoned = parse(term.column.type_sql).base.endswith("with time zone")
        words = "CAST({} AT TIME ZONE 'UTC' AS date)" if zoned else "CAST({} AS date)"
        return Term(sql.SQL(words).format(term.inner), "date")

    def _call(self, name: str, kind: Kind, arguments: Iterable[Term]) -> Term:
        listed = sql.SQL(", ").join(argument.code for argument in arguments)
        return Term(sql.SQL("{}({})").format(sql.SQL(name), listed), kind)


_Handler: TypeAlias = tuple[Callable[[_Translator, "exp.Expression"], Term], str]
# Hints of the parser to its own generators.
_MEANINGLESS = ("safe", "typed", "is_string", "only_json_types", "json_subtype")
_HANDLERS: dict[str, _Handler] = {
    "column": (_Translator.column, "this table db"),
    "literal": (_Translator.literal, "this"),
    "hexstring": (_Translator.blob, "this"),
    "boolean": (_Translator.boolean, "this"),
    "null": (_Translator.null, ""),
    "paren": (_Translator.paren, "this"),
    "neg": (_Translator.negative, "this"),
    "and": (_Translator.junction, "this expression"),
    "or": (_Translator.junction, "this expression"),
    "not": (_Translator.negation, "this"),
    **dict.fromkeys(_COMPARISONS, (_Translator.comparison, "this expression")),
    "is": (_Translator.identity, "this expression"),
    "in": (_Translator.membership, "this expressions"),
    "between": (_Translator.between, "this low high"),
    "like": (_Translator.like, "this expression negate"),
    "escape": (_Translator.escape, "this expression"),
    "glob": (_Translator.glob, "this expression"),
    **dict.fromkeys(_ARITHMETIC, (_Translator.arithmetic, "this expression")),
    "dpipe": (_Translator.joined, "this expression"),
    "collate": (_Translator.collation, "this expression"),
    "length": (_Translator.length, "this"),
    "lower": (_Translator.case_changed, "this"),
    "upper": (_Translator.case_changed, "this"),
    "abs": (_Translator.absolute, "this"),
    "trim": (_Translator.trimmed, "this expression position"),
    "strposition": (_Translator.position, "this substr"),
    "replace": (_Translator.replacement, "this expression replacement"),
    "substring": (_Translator.part, "this start length"),
    "nullif": (_Translator.nullified, "this expression"),
    "coalesce": (_Translator.coalesced, "this expressions"),
    "case": (_Translator.case, "this ifs default"),
    "if": (_Translator.either, "this true false"),
    "cast": (_Translator.cast, "this to"),
    "jsonextract": (_Translator.json_value, "this expression"),
    "jsonextractscalar": (_Translator.json_value, "this expression"),
    "date": (_Translator.day, "this"),
}

_REASONS = {
    "typeof": "typeof() asks for SQLite's storage class; a PostgreSQL column holds one type only",
    "json_valid": "json_valid() is no function of PostgreSQL; jsonb holds nothing but valid JSON",
}


def _unknown(node: exp.Expression) -> UntranslatableError:
    name = node.name.lower() if node.key == "anonymous" else node.key
    text = node.sql(dialect="sqlite")
    suggestion = "x IS JSON says the same of a text from PostgreSQL 16 on" if name == "json_valid" else ""
    return UntranslatableError(_REASONS.get(name, f"{text} has no sure equivalent in PostgreSQL"), suggestion)


# --- types ----------------------------------------------------------------------------------------


def comparable(left: Term, right: Term, *, ordering: bool = False) -> tuple[Term, Term]:
    """Return both sides so that PostgreSQL compares them as SQLite does."""
    left, right = _adapted(left, right, ordering=ordering), _adapted(right, left, ordering=ordering)
    kinds = {left.kind, right.kind} - {"null"}
    if kinds == {"text"}:
        return _collated_pair(left, right, ordering=ordering)
    different = UntranslatableError(f"{left.says()} is compared with {right.says()}".rstrip(","))
    if len(kinds) > 1 or (ordering and kinds == {"boolean"}):
        try:
            return number(left), number(right)
        except UntranslatableError:
            raise different from None
    formats = {side.column.format for side in (left, right) if side.column is not None}
    if (
        (kinds == {"time"} and len(formats) > 1)
        or kinds == {"json"}
        or (ordering and kinds & {"uuid", "other"})
    ):
        raise different
    return left, right


def _collated_pair(left: Term, right: Term, *, ordering: bool) -> tuple[Term, Term]:
    # A COLLATE wins over a column's own collation, and then the left side over the right.
    sides = sorted((left, right), key=lambda side: not side.explicit)
    collation = next((side.collation for side in sides if side.collation), "BINARY")
    if collation == "BINARY":
        # PostgreSQL's order is the database's, SQLite's that of the bytes.
        ordered = sql.SQL('{} COLLATE "C"').format(left.inner)
        return (replace(left, code=ordered, operator="") if ordering else left), right
    return collated(left, collation), collated(right, collation)


def _adapted(term: Term, other: Term, *, ordering: bool) -> Term:
    """Give a constant the type of what it is compared with."""
    if term.literal is None or other.literal is not None:
        return term
    if other.kind == "boolean" and not ordering:
        value = _as_boolean(term)
        return term if value is None else Term(sql.SQL("true" if value else "false"), "boolean")
    if other.kind == "text" and other.column is not None:
        return written(term)
    if other.kind in NUMBERS and isinstance(term.literal, str):
        if not re.fullmatch(r"-?\d+(\.\d+)?", term.literal):
            message = f"{other.says()} is compared with a text"
            raise UntranslatableError(message)
        return Term(sql.SQL(term.literal), "integer" if term.literal.lstrip("-").isdecimal() else "float")
    if other.kind in {"uuid", "date", "clock"} and other.column is not None and isinstance(term.literal, str):
        return Term(sent_literal(other.column, "text", term.literal), other.kind)
    return replace(term, kind="other") if other.kind == "other" and term.kind == "text" else term


def _as_boolean(term: Term) -> bool | None:
    if term.kind in {"integer", "boolean"} and term.literal in (0, 1):
        return bool(term.literal)
    if term.kind == "text" and term.literal in {"true", "false"}:
        return term.literal == "true"
    return None


def unified(terms: Sequence[Term]) -> list[Term]:
    """Return terms of one kind, for the branches of a CASE and the like."""
    column = next((term for term in terms if term.literal is None and term.kind != "null"), None)
    if column is not None:
        terms = [_adapted(term, column, ordering=False) for term in terms]
    kinds = {term.kind for term in terms} - {"null"}
    if len(kinds) > 1:
        terms = [number(term) for term in terms]
    formats = {term.column.format for term in terms if term.column is not None}
    if kinds == {"time"} and len(formats) > 1:
        message = "its times are kept in different formats"
        raise UntranslatableError(message)
    return list(terms)


def _widest(kinds: set[Kind]) -> Kind:
    known = kinds - {"null"}
    if len(known) == 1:
        return known.pop()
    return "float" if "float" in known else "numeric" if "numeric" in known else "null"


def _may_escape(escape: str, pattern: str) -> bool:
    """Tell whether PostgreSQL escapes alike: a letter may lose its case, a last character escapes nothing."""
    rest = re.sub(re.escape(escape) + ".", "", pattern, flags=re.DOTALL)
    return not escape.isalpha() and escape not in rest


def glob_regex(pattern: str) -> str:
    """Write a GLOB pattern as a regular expression of PostgreSQL."""
    pieces, place = [], 0
    while place < len(pattern):
        letter = pattern[place]
        if letter == "[":
            piece, place = _glob_set(pattern, place)
            pieces.append(piece)
            continue
        pieces.append({"*": ".*", "?": "."}.get(letter) or re.sub(r"([\\^$.|+(){}\]])", r"\\\1", letter))
        place += 1
    return f"^{''.join(pieces)}$"


def _glob_set(pattern: str, opening: int) -> tuple[str, int]:
    match = re.compile(r"\[(\^?)(\]?[^\]]*)\]").match(pattern, opening)
    if match is None or not match[2]:
        message = f"the GLOB pattern {pattern!r} has a [ that is not closed"
        raise UntranslatableError(message)
    members = re.sub(r"([\\\[\]^])", r"\\\1", match[2])
    return f"[{match[1]}{members}]", match.end()
