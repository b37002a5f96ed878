"""How the commands end: their exit statuses, and the one message of a user's mistake."""

from __future__ import annotations

import sys

MISTAKE, INTERRUPTED = 2, 130
"""A person must mend something; the same command goes on."""


def mistake(message: object) -> int:
    """Prints what a user must mend, and returns the exit status for it."""
    print(f"error: {message}", file=sys.stderr)
    return MISTAKE
