"""`augspec diff`: what differs between two specs in meaning."""

from __future__ import annotations

import json
from pathlib import Path

from augspec.cli.common import Flag, Json, Overrides, load_spec
from augspec.compiler.diff import diff as difference
from augspec.language.diagnostics import Diagnostic, SpecError
from augspec.language.spec import Spec


def diff(
    first: Path,
    second: Path,
    *,
    set_: Overrides = None,
    allow_outside: Flag = False,
    json_: Json = False,
    exit_code: Flag = False,
) -> int:
    """Show what differs between two specs in meaning: views, ops, fields, codes and hashes.

    Args:
        first: the spec to go from.
        second: the spec to go to.
        set_: an assignment such as `views.first.ops.grayscale.p=0`, to the second spec only; may
            be repeated.
        allow_outside: let the specs extend files outside their own folders.
        json_: print plain data instead of text.
        exit_code: end with status 1 where views or codes differ.
    """
    specs: list[Spec] = []
    mistakes: list[Diagnostic] = []
    for path, overrides in ((first, None), (second, set_)):
        try:
            specs.append(load_spec(path, overrides, allow_outside))
        except SpecError as error:
            mistakes += error.diagnostics
    if mistakes:
        raise SpecError(*mistakes)
    found = difference(specs[0], specs[1])
    if json_:
        print(json.dumps(found.document(), indent=2, ensure_ascii=False))
    else:
        print(found.describe())
    return 1 if exit_code and not found.same else 0
