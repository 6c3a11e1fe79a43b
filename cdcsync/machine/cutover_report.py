"""What a cutover did, step by step, for people and for scripts."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from loguru import logger


@dataclass(frozen=True, slots=True)
class Step:
    """A step and how long it took."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """A gate that is closed; `code` is stable."""

    code: str
    message: str


@dataclass(slots=True)
class CutoverReport:
    """What was done. `aborted_at` is the step that failed, `reason` why; `pause_seconds` is None before the pause.

    `estimated_pause_seconds` is what was expected right before it. `remarks` are lines about what could not be done.
    """

    done: bool = False
    rehearsed: bool = False
    pause_seconds: float | None = None
    switch_seconds: float | None = None
    estimated_pause_seconds: float | None = None
    steps: list[Step] = field(default_factory=list)
    row_counts: dict[str, dict[str, int]] = field(default_factory=dict)
    verified_keys: int = 0
    backup: str | None = None
    report: str | None = None
    aborted_at: str | None = None
    reason: str | None = None
    refusals: list[Refusal] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step; one that fails is where the cutover was aborted."""
        logger.info("step {}", name)
        began = time.perf_counter()
        try:
            yield
        except BaseException:
            self.aborted_at = self.aborted_at or name
            raise
        finally:
            self.steps.append(Step(name, round(time.perf_counter() - began, 4)))

    def write(self, folder: Path) -> None:
        """Keep it as JSON and as Markdown beside the other files of cdcsync; `report` names the latter.

        A report that cannot be written changes nothing about the cutover: it is a remark.
        """
        now = datetime.now(UTC)
        path = folder / f"cutover-{now:%Y%m%dT%H%M%SZ}.md"
        self.report = str(path)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(self._markdown(now), encoding="utf-8")
            content = json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=2)
            path.with_suffix(".json").write_text(content, encoding="utf-8")
        except OSError as error:
            self.report = None
            self.remarks.append(f"the report could not be written to {folder}: {error.strerror}")

    def _markdown(self, now: datetime) -> str:
        ended = "done" if self.done else f"not done: {self.reason}"
        lines = [f"# Cutover of {now:%Y-%m-%d %H:%M:%S} UTC: {ended}", ""]
        for name, value in (
            ("write pause", _seconds(self.pause_seconds)),
            ("expected", _seconds(self.estimated_pause_seconds)),
            ("switch (hooks)", _seconds(self.switch_seconds)),
            ("keys verified in the pause", str(self.verified_keys)),
            ("backup", self.backup or "none"),
        ):
            lines.append(f"- {name}: {value}")
        lines += ["", "| step | seconds |", "| --- | --- |", *(f"| {s.name} | {s.seconds:.3f} |" for s in self.steps)]
        if self.row_counts:
            lines += ["", "| table | rows in SQLite | rows in PostgreSQL |", "| --- | --- | --- |"]
            lines += [f"| {name} | {rows['source']} | {rows['target']} |" for name, rows in self.row_counts.items()]
        if self.remarks:
            lines += ["", *(f"- remark: {remark}" for remark in self.remarks)]
        return "\n".join(lines) + "\n"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f} s"
