"""`augspec layout`: the columns of every view's code."""

from __future__ import annotations

import json
from pathlib import Path

from augspec.cli.common import Flag, Json, Overrides, load_spec
from augspec.compiler.plan import make_plan


def layout(
    path: Path, *, set_: Overrides = None, allow_outside: Flag = False, json_: Json = False
) -> int:
    """Show the columns of every view's code.

    Args:
        path: the spec.
        set_: an assignment such as `views.first.ops.grayscale.p=0`; may be repeated.
        allow_outside: let the spec extend files outside its own folder.
        json_: print plain data instead of tables.
    """
    views = make_plan(load_spec(path, set_, allow_outside)).views
    if json_:
        print(json.dumps({v.name: v.layout.document() for v in views}, indent=2))
    else:
        print("\n\n".join(v.layout.describe() for v in views))
    return 0
