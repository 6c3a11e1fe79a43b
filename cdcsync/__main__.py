"""The console command, also `python -m cdcsync`: it answers Ctrl-C while the rest is still being imported."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; the process ends with the contract's exit code."""
    try:
        from cdcsync.cli.main import main as command_line  # noqa: PLC0415  inside the try, see above

        command_line()
    except KeyboardInterrupt:
        sys.stderr.write("cdcsync: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
