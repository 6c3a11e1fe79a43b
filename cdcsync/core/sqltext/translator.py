"""The walk over the tree of one expression: every node goes to the handler that understands its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cdcsync.core.sqltext.operators import NEED_PARENTHESES
from cdcsync.core.sqltext.parsing import spelled
from cdcsync.core.sqltext.refusal import UntranslatableError, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqlglot import exp

    from cdcsync.core.sqltext.scope import Scope
    from cdcsync.core.sqltext.terms import Term

# Hints of the parser to its own generators.
_MEANINGLESS = frozenset({"safe", "typed", "is_string", "only_json_types", "json_subtype"})


class Handler(NamedTuple):
    """Says a node in PostgreSQL; a node with any argument that is not among `known` means more than that."""

    say: Callable[[Translator, exp.Expression], Term]
    known: str = "this"


class Translator:
    """Translates the nodes of one expression, by handlers under the names of their kinds."""

    def __init__(self, scope: Scope, handlers: Mapping[str, Handler]) -> None:
        """Names mean what they mean in `scope`."""
        self.scope = scope
        self._handlers = handlers

    def term(self, node: exp.Expression) -> Term:
        """Return a node in PostgreSQL; UntranslatableError if it is not sure to mean the same."""
        handler = self._handlers.get(node.key)
        if handler is None:
            raise unknown(node)
        known = handler.known.split()
        if node.key != "case" and "this" in known and node.args.get("this") is None:
            raise unknown(node)
        given = {name for name, value in node.args.items() if value not in (None, False, [])}
        if given - _MEANINGLESS - {*known}:
            refuse(f"{spelled(node)} says more than is understood")
        return handler.say(self, node)

    def terms(self, nodes: Iterable[exp.Expression]) -> list[Term]:
        """Return several nodes in PostgreSQL."""
        return [self.term(node) for node in nodes]

    def operands(self, node: exp.Expression, *names: str) -> list[Term]:
        """Return the operands of a node, which are its sides unless named."""
        operands = []
        for name in names or ("this", "expression"):
            operand = node.args.get(name)
            if operand is None:
                raise unknown(node)
            if operand.key in NEED_PARENTHESES:
                refuse(f"{spelled(node)} mixes comparisons without parentheses")
            operands.append(operand)
        return self.terms(operands)


def unknown(node: exp.Expression) -> UntranslatableError:
    """Return the refusal of a node nobody here understands."""
    suggestion = "x ~ 'pattern' may say the same, if the application's REGEXP does" if node.key == "regexplike" else ""
    return UntranslatableError(f"{spelled(node)} has no sure equivalent in PostgreSQL", suggestion)
