"""What the audience sees: timed lines, then a live picture on a terminal, or elsewhere a line a second that changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

TERMINAL_SECONDS = 0.25
PLAIN_SECONDS = 1.0
INDENT = 9
BAR_WIDTH = 28
LINE_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Bar:
    """Progress of one table; `total` is None while nobody has counted."""

    name: str
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class View:
    """One moment: bars and facts on a terminal, `line` elsewhere."""

    line: str
    bars: tuple[Bar, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


class Screen:
    """Prints the play as it goes. All of it goes to one stream: stderr where stdout is for JSON."""

    def __init__(self, *, stderr: bool) -> None:
        """Find out what kind of stream it is."""
        self._console = Console(stderr=stderr, highlight=False, soft_wrap=True)
        moving = self._console.is_terminal and not self._console.is_dumb_terminal
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if moving else None
        self._began = time.monotonic()
        self._shown = 0.0
        self._line = ""

    def __enter__(self) -> Self:
        """Begin the picture."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the picture; the lines stay."""
        if self._live is not None:
            self._live.stop()

    def title(self, text: str) -> None:
        """Print what this is about."""
        self._print(Text(text, style="bold"))
        self._print(Text(""))
        self._began = time.monotonic()

    def step(self, text: str) -> None:
        """Print what begins now, with the time."""
        self._timed(Text(text))

    def command(self, *words: str) -> None:
        """Print a command line that is run now, as a user would type it."""
        self._timed(Text(f"$ cdcsync {' '.join(words)}", style="bold cyan"))

    def detail(self, text: str) -> None:
        """Print what came of it."""
        shown = Text(text, style="green")
        shown.truncate(LINE_WIDTH, overflow="ellipsis")
        self._print(Text.assemble(" " * INDENT, shown))

    def figures(self, rows: list[tuple[str, str]]) -> None:
        """Print names and values in two columns."""
        width = max(len(name) for name, _ in rows)
        self._print(Text(""))
        for name, value in rows:
            self._print(Text.assemble((name.ljust(width + 2), "dim"), value))
        self._print(Text(""))

    def verdict(self, text: str) -> None:
        """Print the last line."""
        self._print(Text(text, style="bold"))

    def show(self, look: Callable[[], View]) -> None:
        """Show the moment if it is time to; `look` is asked only then."""
        now = time.monotonic()
        if now - self._shown < (TERMINAL_SECONDS if self._live is not None else PLAIN_SECONDS):
            return
        self._shown = now
        view = look()
        if self._live is not None:
            self._live.update(Padding(_drawn(view), (0, 0, 0, INDENT)), refresh=True)
        elif view.line != self._line:
            self._print(Text(" " * INDENT + view.line))
            self._line = view.line

    def clear(self) -> None:
        """Take the picture away; the next one shows at once."""
        self._shown = 0.0
        if self._live is not None:
            self._live.update(Text(""), refresh=True)

    def _timed(self, text: Text) -> None:
        elapsed = time.monotonic() - self._began
        self._print(Text.assemble((f"{elapsed:5.1f} s  ", "dim"), text))

    def _print(self, text: Text) -> None:
        self._console.print(text)


def _drawn(view: View) -> RenderableType:
    bars = Table.grid(padding=(0, 2))
    for bar in view.bars:
        # Rows that come while the copy is under way are in it too.
        total = None if bar.total is None else max(bar.total, bar.done)
        share = ProgressBar(total=total or 1, completed=bar.done, width=BAR_WIDTH)
        bars.add_row(bar.name, share, "waits" if total is None else f"{bar.done:,} of {total:,} rows")
    facts = Table.grid(padding=(0, 2))
    for name, value in view.facts:
        facts.add_row(Text(name, style="dim"), value)
    return Group(*([bars] if view.bars else []), *([facts] if view.facts else []))
