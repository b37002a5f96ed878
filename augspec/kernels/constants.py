"""Small tables on a device: copying one to a GPU makes the host wait, so it is done once."""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from augspec.kernels.tracing import tracing


def constant(values: tuple[Any, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Nested tuples of numbers as a tensor, which the caller must not change in place."""
    # A cached tensor must not be one of the tracer's fake tensors, and the tracer folds constants.
    build = _table if tracing() else _cached
    return build(values, dtype, device)


def _table(values: tuple[Any, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # autograd could not save an inference tensor
        return torch.tensor(values, dtype=dtype, device=device)


_cached = lru_cache(maxsize=64)(_table)
