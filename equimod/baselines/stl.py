"""STL: learn what a transformation is from another image's pair (Yu et al., arXiv 2501.08712)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from equimod.baselines.base import Neighbour, NeighbourOptions, Pair, require_rows
from equimod.baselines.hyper import HyperLinear
from equimod.baselines.inputs import Given, Reads
from equimod.heads import mlp
from equimod.losses import nt_xent


class STL(Neighbour):
    """Self-supervised transformation learning, without any parameters of augmentations.

    Images 2k and 2k + 1 got the same transformations t1 and t2. A network reads the transformation
    off an image's two features, r12 = b([h1, h2]); a hyper-network moves the *partner's* features
    by it. Two losses, as in the released code (model.py), each an NT-Xent:

    - equivariance: g(W(r21 of the partner) h2) must find g(h1), and the reverse;
    - transformation: the r of both images of a pair must find each other.

    Args:
        feature_dim: F, the width of the encoder's features.
        hidden: the width of g's hidden layer.
        dim: the width of g's output.
        code_dim: the width of r, of its network's hidden layer, and of its projector.
        temperature: of both losses.
        equivariance: the weight of the first loss.
        transformation: the weight of the second.
    """

    def __init__(
        self,
        feature_dim: int,
        *,
        hidden: int = 512,
        dim: int = 128,
        code_dim: int = 128,
        temperature: float = 0.2,
        equivariance: float = 1.0,
        transformation: float = 0.1,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.equivariance, self.transformation = equivariance, transformation
        self.read = _unbiased(2 * feature_dim, code_dim, code_dim)
        self.move = HyperLinear(feature_dim, code_dim)
        self.projector = _unbiased(feature_dim, hidden, dim)
        self.code_projector = _unbiased(code_dim, code_dim, code_dim)

    def forward(self, pair: Pair) -> Tensor:
        """See `Neighbour.forward`; `pair.extra` are the views with pairs, if it has its own.

        Raises:
            ValueError: this process has an odd number of images.
        """
        h1, h2 = pair.extra or pair.features
        require_rows("stl", len(h1), 2)
        ways = torch.cat([torch.cat([h1, h2], dim=1), torch.cat([h2, h1], dim=1)])
        r = self.read(ways)  # (2N, E): from first to second, then from second to first
        there, back = r.chunk(2)
        moved = torch.cat([self.move(h2, _partners(back)), self.move(h1, _partners(there))])
        targets, predicted = self.projector(torch.cat([h1, h2, moved])).chunk(2)
        even, odd = self.code_projector(torch.cat([r[0::2], r[1::2]])).chunk(2)
        equivariance = nt_xent(targets, predicted, self.temperature)
        transformation = nt_xent(even, odd, self.temperature)
        return self.equivariance * equivariance + self.transformation * transformation


def _partners(x: Tensor) -> Tensor:
    """Rows 2k and 2k + 1 exchanged."""
    return x.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def _unbiased(fan_in: int, hidden: int, fan_out: int) -> nn.Sequential:
    """Two linear layers, none with a bias, as the released code has all its networks."""
    network = mlp((fan_in, hidden, fan_out), last_norm="none")
    network[-1] = nn.Linear(hidden, fan_out, bias=False)
    return network


class STLConfig(NeighbourOptions):
    """STL (Yu et al., NeurIPS 2024); the defaults are those of the released code on STL-10."""

    reads: ClassVar[Reads] = "nothing"
    name: Literal["stl"] = "stl"

    views: tuple[str, str] | None = None
    """Views in which images 2k and 2k + 1 share what equivariance is learnt to (`share: pairs`);
    null for the augmented views themselves, as published."""
    equivariance: float = Field(default=1.0, ge=0)
    """Weight of the equivariance loss."""
    transformation: float = Field(default=0.1, ge=0)
    """Weight of the loss between the transformations of a pair."""
    temperature: float = Field(default=0.2, gt=0)
    """Temperature of both losses."""
    hidden: int = Field(default=512, ge=1)
    """Width of the projector's hidden layer."""
    dim: int = Field(default=128, ge=1)
    """Width of the embeddings that are compared."""
    code_dim: int = Field(default=128, ge=1)
    """Width of what stands for a transformation."""

    @property
    def extra_views(self) -> tuple[str, ...]:
        """See `NeighbourOptions.extra_views`."""
        return self.views or ()

    @property
    def shared(self) -> tuple[tuple[str, ...] | None, int]:
        """See `NeighbourOptions.shared`."""
        return self.views, 2

    def build(self, feature_dim: int, given: Given) -> STL:
        """See `NeighbourOptions.build`."""
        left_out = {"name", "views", "weight", "method_weight"}
        return STL(feature_dim, **self.model_dump(exclude=left_out))
