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
    import torch

    from augspec.compiler.backends import Backend
    from augspec.compiler.pipeline import Pipeline

__all__ = ["compile", "load_pipeline", "make_plan"]


def compile(
    spec: Spec,
    *,
    seed: int = 0,
    backend: Backend = "auto",
    dtype: torch.dtype | None = None,
    memory_format: torch.memory_format | None = None,
    merge: bool = False,
) -> Pipeline:
    """Compiles a spec into a pipeline.

    Args:
        spec: a validated spec.
        seed: keys every draw, together with the epoch; in [0, 2**32).
        backend: `auto`, `eager`, `compiled`, `numba` or `triton`, see `Pipeline`.
        dtype: of the views; float32 if None.
        memory_format: of the views; `torch.contiguous_format` if None.
        merge: render geometric ops in a row as one resample, where they agree. This changes pixels:
            they are nearer to what the composed map shows of the image than those of one op after
            the other, which blur it each time.

    Raises:
        ValueError: an unknown backend.
    """
    import torch

    from augspec.compiler.pipeline import Pipeline

    return Pipeline(
        make_plan(spec, merge=merge),
        seed=seed,
        backend=backend,
        dtype=dtype or torch.float32,
        memory_format=memory_format or torch.contiguous_format,
    )


def load_pipeline(
    path: str | Path, overrides: Sequence[str] = (), *, seed: int = 0, backend: Backend = "auto"
) -> Pipeline:
    """Loads a spec and compiles it.

    Raises:
        SpecError: the spec has mistakes.
        ValueError: an unknown backend.
    """
    return compile(load(path, overrides), seed=seed, backend=backend)
