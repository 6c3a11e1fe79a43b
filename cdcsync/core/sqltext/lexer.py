"""Text in SQLite's lexis as tokens, and the parts of it that parentheses and commas make."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LEXIS = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<string>[xX]?'(?:[^']|'')*')
    |(?P<name>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
    |(?P<word>[^\W\d][\w$]*)
    |(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<sign>\|\||->>?|<[=<>]|>[=>]|[=!]=|.)""",
    re.VERBOSE | re.DOTALL,
)
_STEPS = {"(": 1, ")": -1}
_INTEGER_LIMIT = 2**63


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
        if self.kind not in {"name", "string"}:
            return self.text
        inner, quote = self.text[1:-1], self.text[-1]
        return inner if quote == "]" else inner.replace(quote * 2, quote)


def tokens(text: str) -> list[Token]:
    """Take a text apart as SQLite does, without spaces and comments."""
    found = (Token(match.lastgroup or "", match.group(), *match.span()) for match in _LEXIS.finditer(text))
    return [token for token in found if token.kind != "space"]


def number_value(text: str) -> int | float:
    """Return the number a token spells; digits that fit no integer are a float, hexadecimal ones 64 bits."""
    if text[:2] in {"0x", "0X"}:
        bits = int(text, 16)
        return bits if bits < _INTEGER_LIMIT else bits - 2 * _INTEGER_LIMIT
    return int(text) if text.isdecimal() and int(text) < _INTEGER_LIMIT else float(text)


def group(part: Sequence[Token], place: int) -> tuple[Sequence[Token], int]:
    """Return what stands between the parentheses at `place`, if any open there, and the place after them."""
    if place >= len(part) or part[place].text != "(":
        return (), place
    depths = _depths(part[place:])
    end = next((place + step for step, depth in enumerate(depths) if depth == 0), len(part) - 1)
    return part[place + 1 : end], end + 1


def split(part: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Split at the commas that stand in no parenthesis."""
    start = 0
    for place, depth in enumerate(_depths(part)):
        if part[place].text == "," and depth == 0:
            yield part[start:place]
            start = place + 1
    yield part[start:]


def _depths(part: Sequence[Token]) -> Iterator[int]:
    return accumulate(_STEPS.get(token.text, 0) for token in part)


def spanned(text: str, part: Sequence[Token]) -> str:
    """Return the piece of `text` that these tokens of it span."""
    return text[part[0].start : part[-1].end] if part else ""


def without_parentheses(text: str) -> str:
    """Return the text without the parentheses around the whole of it."""
    while True:
        found = tokens(text)
        inner, end = group(found, 0)
        if not inner or end < len(found) or found[-1].text != ")":
            return text
        text = spanned(text, inner)


def normal_form(text: str) -> str:
    """Write a text one way: lower case, no comments, spaces between words only, no outer parentheses."""
    pieces: list[str] = []
    last = ""
    for token in tokens(text):
        wordy = token.kind in {"word", "number"}
        pieces.append(" " if wordy and last in {"word", "number"} else "")
        pieces.append(token.text.lower() if token.kind == "word" else token.text)
        last = token.kind
    return without_parentheses("".join(pieces))
