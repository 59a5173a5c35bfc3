"""The front door: `mlops` and `python -m mlops_tui`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; `--version` is answered before anything is imported."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from mlops_tui import __version__

        print(f"mlops-tui {__version__}")
        return
    from mlops_tui.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
