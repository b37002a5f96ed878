"""Codes shifted and scaled, column by column, before a predictor reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from augspec import SlotMap


class CodeScaling(nn.Module):
    """`(c - shift) / scale`; the identity until both are set.

    Both are buffers: a checkpoint has them, so that a head that is measured with other
    augmentations scales codes as it did when it was trained.

    Args:
        code_dim: E, the width of a code.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, code_dim: int) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(code_dim))
        self.register_buffer("scale", torch.ones(code_dim))
        self._places: list[int] | None = None

    def set(self, shift: Tensor, scale: Tensor) -> None:
        """Sets what is taken away and by what is divided, `(E,)` each."""
        with torch.no_grad():
            self.shift.copy_(shift)
            self.scale.copy_(scale)

    def forward(self, code: Tensor) -> Tensor:
        """Scaled codes `(N, E)`."""
        if self._places is not None:
            # what the codes lack did not act: it is zero before it is scaled, not after
            whole = code.new_zeros(len(code), len(self.shift))
            code = whole.index_copy(1, torch.tensor(self._places, device=code.device), code)
        shift, scale = self.shift.to(code.dtype), self.scale.to(code.dtype)
        return (code - shift) / scale

    def read(self, slots: SlotMap, what: str) -> None:
        """Makes it take codes of another layout, and give those that the predictor reads.

        Raises:
            LayoutMismatchError: see `SlotMap.columns`.
        """
        places = torch.arange(slots.source.width)[None].double()
        self._places = slots.columns(places, what)[0].long().tolist()
