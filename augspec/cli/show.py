"""`augspec show`: a spec as it is read, in short or in full."""

from __future__ import annotations

from pathlib import Path

from augspec.cli.common import Flag, Overrides, load_spec
from augspec.compiler.flow import block
from augspec.language.origins import load_resolved, resolved_text


def show(
    path: Path, *, resolved: Flag = False, set_: Overrides = None, allow_outside: Flag = False
) -> int:
    """Print a spec after `extends`, `let` and assignments: what it says, defaults left out.

    Args:
        path: the spec.
        resolved: print every value, defaults included, with where each came from as a comment.
        set_: an assignment such as `views.first.ops.grayscale.p=0`; may be repeated.
        allow_outside: let the spec extend files outside its own folder.
    """
    if resolved:
        text = resolved_text(load_resolved(path, set_ or (), allow_outside=allow_outside))
    else:
        text = block(load_spec(path, set_, allow_outside).document())
    print(text, end="")
    return 0
