"""What views are made as: normalised, in a dtype and a memory format."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Output:
    """What the views are made as.

    Attributes:
        dtype: float32 or bfloat16; other types are made from float32.
        memory_format: `torch.contiguous_format` or `torch.channels_last`.
        mean: of the normalisation, a number for each channel or one for all; None for none.
        std: of the normalisation, likewise.
    """

    dtype: torch.dtype = torch.float32
    memory_format: torch.memory_format = torch.contiguous_format
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] = (1.0,)

    def finish(self, x: Tensor, mean: Tensor | None = None, std: Tensor | None = None) -> Tensor:
        """Images `(B, C, H, W)` as they are to come out; float64 stays so, for references.

        Args:
            x: the images.
            mean: `(C, 1, 1)` of the normalisation, on the images' device; made here if None.
            std: likewise.
        """
        if self.mean is not None:
            mean = x.new_tensor(self.mean)[:, None, None] if mean is None else mean.to(x)
            std = x.new_tensor(self.std)[:, None, None] if std is None else std.to(x)
            x = (x - mean) / std
        if x.dtype == torch.float64:
            return x
        return x.to(self.dtype).contiguous(memory_format=self.memory_format)
