"""What the commands of the benchmarks have in common: progress, mistakes, and the exit status."""

from __future__ import annotations

import sys
import time

import torch
from cyclopts import App, CycloptsError

BEGUN = time.perf_counter()


class UsageError(Exception):
    """A mistake of the person who calls."""


def tell(line: str) -> None:
    """Shows a line of progress, with the seconds since the command began."""
    print(f"{time.perf_counter() - BEGUN:5.0f} s  {line}", file=sys.stderr, flush=True)


def run(app: App, arguments: list[str] | None = None) -> int:
    """Runs a command, and returns its status: 2 after a mistake of the person who calls."""
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except (UsageError, CycloptsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except torch.OutOfMemoryError as error:
        reason = str(error).splitlines()[0]
        print(f"error: out of memory, choose a smaller --batch: {reason}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0
