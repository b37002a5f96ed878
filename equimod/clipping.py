"""Gradients of bounded length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field
from torch.nn import Parameter
from torch.nn.utils import clip_grad_norm_

from augspec import DocumentModel


class ClipConfig(DocumentModel):
    """How gradients are clipped, between the backward pass and the optimiser's step."""

    norm: float = Field(gt=0)
    """The longest that a gradient may be (Euclidean norm); a longer one is scaled down to it."""
    of: Literal["all", "each"] = "all"
    """Of `all` weights together (Pascanu et al., arXiv 1211.5063), or of `each` weight tensor by
    itself, as DINO's code does with norm 3."""

    def clip(self, parameters: Iterable[Parameter]) -> None:
        """Clips the gradients of the parameters in place; those without one are left out.

        The norms are those of whole gradients where they are shared out over processes (FSDP); then
        every process must call it.
        """
        with_gradient = [p for p in parameters if p.grad is not None]
        for tensors in [with_gradient] if self.of == "all" else [[p] for p in with_gradient]:
            clip_grad_norm_(tensors, self.norm)
