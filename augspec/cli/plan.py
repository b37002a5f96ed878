"""`augspec plan`: what a spec compiles into."""

from __future__ import annotations

import json
from pathlib import Path

from augspec.cli.common import Flag, Json, Overrides, load_spec
from augspec.compiler.describe import describe, plan_document
from augspec.compiler.plan import make_plan
from augspec.compiler.schedule_words import explain as explained
from augspec.compiler.schedule_words import schedule_document


def plan(
    path: Path,
    *,
    explain: Flag = False,
    merge: Flag = False,
    set_: Overrides = None,
    allow_outside: Flag = False,
    json_: Json = False,
) -> int:
    """Show the compiled plan: what each step does, its columns, and whose draws it has.

    Args:
        path: the spec.
        explain: show which steps run together on a CPU, which do not, and why.
        merge: compile with `merge=True`: geometric ops in a row are one resample.
        set_: an assignment such as `views.first.ops.grayscale.p=0`; may be repeated.
        allow_outside: let the spec extend files outside its own folder.
        json_: print plain data instead of text.
    """
    spec = load_spec(path, set_, allow_outside)
    compiled = make_plan(spec, merge=merge)
    if json_:
        document = plan_document(compiled, spec.input_size)
        if explain:
            document["schedule"] = schedule_document(compiled, spec.input_size)
        print(json.dumps(document, indent=2, ensure_ascii=False))
    elif explain:
        print(explained(compiled, spec.input_size))
    else:
        print(describe(compiled, spec.input_size))
    return 0
