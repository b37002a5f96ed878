"""Whether tensors are real: what is kept for later must not be a tracer's stand-in."""

import torch
from torch import Tensor


def tracing() -> bool:
    """Whether tensors that are made now are stand-ins without values, or constants of a graph."""
    return torch.compiler.is_compiling() or type(torch.empty(0)) is not Tensor


def readable(values: Tensor) -> bool:
    """Whether machine code can read these values: they lie on the CPU, and nothing records them."""
    return values.device.type == "cpu" and not values.requires_grad and not tracing()
