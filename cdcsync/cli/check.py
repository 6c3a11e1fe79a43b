"""`cdcsync check`."""

from __future__ import annotations

import dataclasses

from cdcsync.cli import show
from cdcsync.cli.options import JsonOption, with_context
from cdcsync.machine.check import check
from cdcsync.machine.context import Context


@with_context
def command(context: Context, *, json: JsonOption = False) -> int:
    """Look for everything that would stop the move: source, target, mapping, privileges, values."""
    with show.progress("checking") as tick:
        findings = check(context, tick)
    ready = not any(finding.severity == "blocking" for finding in findings)
    if json:
        show.as_json({"ready": ready, "findings": [dataclasses.asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            show.line(f"{finding.severity}: {finding.message}")
            if finding.sample_keys:
                show.line(f"    such as {'; '.join(finding.sample_keys)}")
            if finding.fix:
                show.line(f"    mend it: {finding.fix}")
        show.line("ready to install" if ready else "not ready: see the blocking findings")
    return 0 if ready else 1
