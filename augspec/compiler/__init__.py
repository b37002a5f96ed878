"""The compiler: a spec becomes a plan, and a plan a pipeline.

`compile` and `make_plan` are the two entry points; only `compile` imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from augspec.compiler.plan import make_plan
from augspec.language.spec import Spec, load

if TYPE_CHECKING:
    from augspec.compiler.pipeline import Pipeline

__all__ = ["compile", "load_pipeline", "make_plan"]


def compile(spec: Spec, *, seed: int = 0) -> Pipeline:
    """Compiles a spec into a pipeline.

    Args:
        spec: a validated spec.
        seed: keys every draw, together with the epoch; in [0, 2**32).
    """
    from augspec.compiler.pipeline import Pipeline

    return Pipeline(make_plan(spec), seed=seed)


def load_pipeline(path: str | Path, overrides: Sequence[str] = (), *, seed: int = 0) -> Pipeline:
    """Loads a spec and compiles it.

    Raises:
        SpecError: the spec has mistakes.
    """
    return compile(load(path, overrides), seed=seed)
