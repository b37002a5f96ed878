"""`augspec schema`: the JSON Schema of specs, for editors."""

from __future__ import annotations

import json
from pathlib import Path

from augspec.cli.common import mistake
from augspec.language.files import write_atomically
from augspec.language.schema import spec_schema


def schema(*, write: Path | None = None, check: Path | None = None) -> int:
    """Print the JSON Schema of specs, for editors.

    Args:
        write: the file to write it to instead.
        check: a file that must hold just this schema; the status is 2 where it is stale.
    """
    text = json.dumps(spec_schema(), indent=1) + "\n"
    if check is not None and check.read_text(encoding="utf-8") != text:
        raise mistake(f"{check} is stale; write it anew: augspec schema --write {check}")
    if write is not None:
        write_atomically(write, text)
    if write is None and check is None:
        print(text, end="")
    return 0
