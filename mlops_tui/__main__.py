"""The front door: `mlops` and `python -m mlops_tui`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; `--version` is answered before anything is imported."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from mlops_tui import __version__

        print(f"mlops-tui {__version__}")
        return
    import gc

    gc.set_threshold(50_000, 20, 20)  # the default looks for cycles dozens of times while modules are imported
    from mlops_tui.cli.main import run

    _leave(run(sys.argv[1:]))


def _leave(code: int) -> None:
    """End the process without taking every imported module apart first, which costs 40 ms: a sixth of a listing.

    Nothing is left to do by then: every act has committed and closed its files, and no thread of ours outlives it.
    """
    import os

    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(code or 3)  # the interpreter says what is wrong with its streams
    os._exit(code)


if __name__ == "__main__":
    main()
