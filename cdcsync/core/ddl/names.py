"""Names given out once each, within PostgreSQL's length."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME_BYTES = 63


class Names:
    """Names given out once each, within PostgreSQL's length."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        """Never give out those that are taken."""
        self.taken = {_cut(name, _NAME_BYTES) for name in taken}

    def pick(self, wanted: str) -> str:
        """Return the wanted name, cut and numbered as far as it must be."""
        name, number = _cut(wanted, _NAME_BYTES), 1
        while name in self.taken:
            number += 1
            suffix = f"_{number}"
            name = _cut(wanted, _NAME_BYTES - len(suffix)) + suffix
        self.taken.add(name)
        return name


def _cut(name: str, size: int) -> str:
    return name.encode()[:size].decode(errors="ignore")
