"""Expressions of SQLite's over the columns of `support.ddl.SAMPLE`: most make sense, some only to SQLite."""

from __future__ import annotations

from hypothesis import strategies as st

Texts = st.SearchStrategy[str]

TEXTS = ["t", "n", "v", "[t]", "''", "'abc'", "'ABC'", "'abc '", "'5'", "'é'", "'it''s'", '"abc"', "'line\nbreak'"]
NUMBERS = ["i", "j", "r", "num", '"end"', "e", "ms", "0", "1", "5", "-7", "2.5", "0.1", "1e2", "0x10", "3000000000"]
CONDITIONS = ["b", "b", "b = 1", "TRUE", "i > 0", "t = 'abc'", "d > '2000-01-01'", "ts <= ts2", "x > x'60'"]
ODD = ["NULL", "d", "ts", "u", "x", "js", "x'6162'", "'2024-01-02'", "'0e37df36-f698-11e6-8dd4-cb9ced3df976'"]
PATTERNS = ["'a%'", "'%B_'", "'É%'", "'%\\%'", "'5%'", "'_'", "t", "'%' || n", "'a!%%' ESCAPE '!'"]
GLOBS = ["'[A-Z]*'", "'*[^a-z]*'", "'a?c'", "'*'", "'*]*'", "'[a-c]b*'"]
DEPTH = 3


def expressions(depth: int = DEPTH) -> Texts:
    """Return expressions of every kind, nested up to a depth."""
    return st.one_of(_text(depth), _number(depth), _condition(depth))


def _text(depth: int) -> Texts:
    if depth == 0:
        return _mixed(TEXTS, NUMBERS)
    text, number = _text(depth - 1), _number(depth - 1)
    return st.one_of(
        _mixed(TEXTS, NUMBERS),
        _joined(text, ["||"], text),
        _call("{}({})", ["lower", "upper", "trim", "ltrim", "rtrim", "typeof", "hex"], text),
        _call("{}({}, {})", ["coalesce", "ifnull", "nullif", "trim", "rtrim"], text, text),
        st.builds("substr({}, {}, {})".format, text, st.integers(-1, 3), st.integers(0, 3)),
        st.builds("replace({}, {}, {})".format, text, st.sampled_from(["'b'", "''", "t"]), text),
        st.builds("CAST({} AS TEXT)".format, st.one_of(number, text)),
        _choice(depth, text),
    )


def _number(depth: int) -> Texts:
    if depth == 0:
        return _mixed(NUMBERS, ODD)
    number, text = _number(depth - 1), _text(depth - 1)
    return st.one_of(
        _mixed(NUMBERS, CONDITIONS),
        _joined(number, ["+", "-", "*", "/", "%", "&", "|"], number),
        _call("{}({})", ["abs", "-", "- -", "+"], number),
        _call("{}({}, {})", ["coalesce", "ifnull", "nullif"], number, number),
        _call("{}({})", ["length", "length", "abs"], text),
        _call("{}({}, {})", ["instr"], text, text),
        st.builds("CAST({} AS {})".format, number, st.sampled_from(["INTEGER", "REAL"])),
        _choice(depth, number),
    )


def _condition(depth: int) -> Texts:
    if depth == 0:
        return _mixed(CONDITIONS, ODD)
    text, number, condition = _text(depth - 1), _number(depth - 1), _condition(depth - 1)
    collated = st.builds("{} COLLATE {}".format, text, st.sampled_from(["NOCASE", "BINARY", "RTRIM"]))
    compare = ["=", "<>", "==", "!=", "IS", "IS NOT", "<", "<=", ">", ">="]
    alike = st.one_of(st.tuples(text, st.one_of(text, collated, number)), st.tuples(number, st.one_of(number, text)))
    return st.one_of(
        _mixed(CONDITIONS, ODD),
        st.builds(lambda sides, sign: f"{sides[0]} {sign} {sides[1]}", alike, st.sampled_from(compare)),
        _joined(st.one_of(collated, text), compare, text),
        _joined(condition, ["AND", "OR", "=", "IS"], condition),
        _call("{}({})", ["NOT "], condition),
        _call("{1} {0}", ["IS NULL", "NOTNULL", "IS TRUE", "IS NOT FALSE"], st.one_of(text, number, condition)),
        *(
            st.builds("{} {} ({})".format, one, st.sampled_from(["IN", "NOT IN"]), _several(one))
            for one in (text, number)
        ),
        *(st.builds("{} BETWEEN {} AND {}".format, one, one, one) for one in (text, number)),
        _joined(text, ["LIKE", "NOT LIKE"], st.sampled_from(PATTERNS)),
        _joined(text, ["GLOB", "NOT GLOB"], st.sampled_from(GLOBS)),
    ).map(lambda made: made if depth == DEPTH else f"({made})")


def _choice(depth: int, result: Texts) -> Texts:
    condition = _condition(depth - 1)
    return st.one_of(
        st.builds("CASE WHEN {} THEN {} ELSE {} END".format, condition, result, result),
        st.builds("CASE {} WHEN {} THEN {} END".format, result, result, result),
        st.builds("iif({}, {}, {})".format, condition, result, result),
    )


def _mixed(usual: list[str], others: list[str]) -> Texts:
    return st.sampled_from([*usual * 4, *others])


def _several(one: Texts) -> Texts:
    return st.lists(one, min_size=1, max_size=3).map(", ".join)


def _joined(left: Texts, signs: list[str], right: Texts) -> Texts:
    plain = st.builds("{} {} {}".format, left, st.sampled_from(signs), right)
    return st.one_of(plain, st.builds("({}) {} ({})".format, left, st.sampled_from(signs), right))


def _call(form: str, names: list[str], *arguments: Texts) -> Texts:
    return st.builds(form.format, st.sampled_from(names), *arguments)
