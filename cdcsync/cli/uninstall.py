"""`cdcsync uninstall`."""

from __future__ import annotations

from typing import Annotated

import typer

from cdcsync.cli import show
from cdcsync.cli.options import with_context
from cdcsync.edges.fence import fence_message
from cdcsync.machine.context import Context
from cdcsync.machine.install import uninstall


@with_context
def command(
    context: Context,
    *,
    drop_control: Annotated[bool, typer.Option("--drop-control", help="Drop the control schema too.")] = False,
    source_only: Annotated[
        bool, typer.Option("--source-only", help="Leave the target alone, as when it is gone for good.")
    ] = False,
    lift_fence: Annotated[
        bool, typer.Option("--lift-fence", help="After a handover: let SQLite accept writes again.")
    ] = False,
) -> int:
    """Leave the source as it was, and take guard and triggers off the target's tables. User tables stay."""
    held = uninstall(context, drop_control=drop_control, source_only=source_only, lift_fence=lift_fence)
    if held is None:
        show.line("not installed: nothing to do")
    else:
        show.line(f"uninstalled; the write lock was held for {held}")
        with context.open_source() as source:
            if fence_message(source) is not None:
                show.line("the fence stays on the old file; cdcsync uninstall --source-only --lift-fence takes it off")
    return 0


def spell_out(arguments: list[str]) -> list[str]:
    """Tell `uninstall --target`, which drops the control schema, from `--target CONNINFO`, which has a value."""
    if not arguments or arguments[0] != "uninstall":
        return arguments
    following = [*arguments[1:], "--"]
    return [
        "--drop-control" if argument == "--target" and after.startswith("-") else argument
        for argument, after in zip(arguments, following, strict=True)
    ]
