"""A matrix for each sample, linear in its code: the predictor of SIE and of STL."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class HyperLinear(nn.Module):
    """x -> W(c) x, where each entry of W(c) is linear in the code c.

    That is a linear hyper-network into a linear layer without bias. The product is taken before the
    sum over the columns of the code, so that no N matrices are held: N * E * D numbers, not
    N * D * D.

    Args:
        dim: D.
        code_dim: E.
        start_at_identity: add a constant matrix, learnt too, that starts as the identity.
    """

    def __init__(self, dim: int, code_dim: int, *, start_at_identity: bool = False) -> None:
        super().__init__()
        bound = code_dim**-0.5  # torch's initialisation of a linear layer from E inputs
        self.weight = nn.Parameter(torch.empty(code_dim, dim, dim).uniform_(-bound, bound))
        self.constant = nn.Parameter(torch.eye(dim)) if start_at_identity else None

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Moves vectors.

        Args:
            x: `(N, D)`.
            code: `(N, E)`.

        Returns:
            `(N, D)`.
        """
        moved = torch.einsum("ni,eoi->neo", x, self.weight)
        summed = torch.einsum("ne,neo->no", code.to(moved.dtype), moved)
        return summed if self.constant is None else summed + x @ self.constant.T
