"""CASSLE: tell the projector how its view was made (Przewiezlikowski et al., arXiv 2306.06082)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from equimod.baselines.base import Neighbour, NeighbourOptions, Pair
from equimod.baselines.inputs import Given, Reads
from equimod.heads import mlp


class Cassle(Neighbour):
    """The method's projector gets features beside an embedding of their view's parameters.

    z = g([h, u(w)]), where w are the parameters as the released code describes them, and u is its
    `mlp` with `proj-cat` (cond_utils.py). There is no loss of its own: the method asks for alike
    views, and the projector can only undo what the augmentation did if the features tell. Both
    views pass through u as one batch.

    Args:
        code_dim: E, the width of a description.
        width: of u's layers and of its output.
        depth: the number of u's linear layers.

    Raises:
        ValueError: the views draw nothing that could be described.
    """

    def __init__(self, code_dim: int, *, width: int = 64, depth: int = 6) -> None:
        super().__init__()
        if code_dim < 1:
            raise ValueError("cassle: the views draw nothing that it could describe")
        self.embed = mlp((code_dim, *[width] * depth), last_norm="affine")

    def shown(self, features: Sequence[Tensor], codes: Sequence[Tensor]) -> list[Tensor]:
        """See `Neighbour.shown`."""
        joint = torch.cat(tuple(features))
        embedded = self.embed(torch.cat(tuple(codes)).to(joint.dtype))
        return list(torch.cat([joint, embedded.to(joint.dtype)], dim=1).chunk(len(features)))

    def forward(self, pair: Pair) -> None:
        """See `Neighbour.forward`."""


class CassleConfig(NeighbourOptions):
    """CASSLE (Przewiezlikowski et al., 2023); the defaults are those of the published command."""

    reads: ClassVar[Reads] = "cassle"
    changes_features: ClassVar[bool] = True
    name: Literal["cassle"] = "cassle"

    width: int = Field(default=64, ge=1)
    """Width of all layers that embed a view's parameters."""
    depth: int = Field(default=6, ge=1)
    """Number of linear layers that embed them."""

    def shown_dim(self, feature_dim: int) -> int:
        """See `NeighbourOptions.shown_dim`."""
        return feature_dim + self.width

    def build(self, feature_dim: int, given: Given) -> Cassle:
        """See `NeighbourOptions.build`."""
        return Cassle(len(given.columns), width=self.width, depth=self.depth)
