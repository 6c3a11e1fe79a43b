"""What every codec is: the way of one column's values from SQLite into PostgreSQL's binary COPY."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeAlias

from cdcsync.core.codecs.policies import TextPolicies
from cdcsync.core.types import TypeName
from cdcsync.words.nouns import ColumnPlan, StorageClass, Value

Sent: TypeAlias = int | float | str | bytes | None
"""A value in the form it is sent. What that is for a type only its codec knows: a time is microseconds."""


class Codec(ABC):
    """Converts the values of one column.

    Reading is optimistic. `many` takes a whole page at once and answers for the usual case only; where it refuses,
    the page is read again with storage classes and `one` converts each value exactly, or says why it cannot.
    """

    wire: str | None = None
    """The psycopg type whose binary form PostgreSQL's own type reads; None where only text will do."""

    takes: type = str
    """The Python type `many` expects of every value but NULL."""

    _policies = TextPolicies()

    def __init__(self, plan: ColumnPlan, name: TypeName, *, key: bool) -> None:
        """`name` is the plan's type, taken apart. `key`: two values of the column must never become one."""
        self.not_null, self._name, self._key = plan.not_null, name, key

    def many(self, values: Sequence[Value]) -> Sequence[Sent]:
        """Convert a column of a page. Raises ValueError where a value needs to be looked at."""
        kinds = set(map(type, values))
        if kinds == {self.takes}:
            return self._convert_many(values)
        if self.not_null or not kinds <= {self.takes, type(None)}:
            message = "a value of another storage class, or NULL"
            raise ValueError(message)
        converted = iter(self._convert_many([value for value in values if value is not None]))
        return [None if value is None else next(converted) for value in values]

    def one(self, storage: StorageClass, value: Value) -> Sent:
        """Convert one value. Raises ValueError with the reason if it cannot arrive unaltered."""
        if value is None:
            if self.not_null:
                message = "NULL in a column that is NOT NULL in PostgreSQL"
                raise ValueError(message)
            return None
        if storage == "text" and isinstance(value, str | bytes):
            value = self._policies.readable(value)
        return self._convert_one(storage, value)

    def text(self, sent: Sent) -> str:
        """Return a sent value, not NULL, as PostgreSQL's input function reads it."""
        return sent if isinstance(sent, str) else repr(sent)

    def _convert_many(self, values: Sequence[Any]) -> Sequence[Sent]:
        """Convert values that all have the type `takes`."""
        storage: StorageClass = _STORAGE[self.takes]
        return [self.one(storage, value) for value in values]

    @abstractmethod
    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        """Convert a value that is not NULL and, if text, one PostgreSQL can store."""


_STORAGE: dict[type, StorageClass] = {int: "integer", float: "real", str: "text", bytes: "blob"}


def holds_nul(values: Sequence[str]) -> bool:
    """Tell whether any of the texts holds a NUL; one look at all of them costs a tenth of a look at each."""
    return "\0" in "".join(values)


def refusal(storage: StorageClass, wanted: str) -> ValueError:
    """Return the error for a value of the wrong storage class."""
    return ValueError(f"a value of storage class {storage} where {wanted} is expected")
