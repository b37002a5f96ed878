"""SEN: a state on which transformations act as they are known to (arXiv 2206.11990)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

import augspec
from equimod import distributed
from equimod.baselines.base import Neighbour, NeighbourOptions, Pair
from equimod.baselines.inputs import Given, Reads
from equimod.heads import mlp
from equimod.losses import at_least_float32

if TYPE_CHECKING:
    from augspec import RelativeLayout


class SEN(Neighbour):
    """Features give K points that must move as the view does (Park et al., ICML 2022).

    How the group acts on pixels is not built into the network; how it acts on the state is. In the
    paper, the states are those of simulated worlds and the group acts on their coordinates. For
    augmentations, we take the state to be K points of the plane, and the action the exact map from
    the one view to the other; ops that are not geometric leave the points where they are.

    The loss is the paper's contrastive one (as released, sen/net/model.py): the energy of the moved
    and the seen state, and a hinge on the energy of the state and another image's, with
    E(p, q) = ||p - q||^2 / (2 sigma^2), the mean over the points. The released code draws one
    other image in a permutation of the batch; we take the mean over all others, which is what that
    draw is in expectation, but for an image drawn as its own other.

    Args:
        feature_dim: F, the width of the encoder's features.
        layout: of the relative codes.
        hidden: the width of the embedding network's two hidden layers.
        points: K.
        hinge: the energy from which on states are far enough apart.
        sigma: the scale of distances, in half sides of a view.

    Raises:
        ValueError: the views have no geometric op.
    """

    def __init__(
        self,
        feature_dim: int,
        layout: RelativeLayout,
        *,
        hidden: int = 512,
        points: int = 16,
        hinge: float = 1.0,
        sigma: float = 0.5,
    ) -> None:
        super().__init__()
        if layout.group.stop == 0:
            raise ValueError(
                f"sen: views {layout.views[0]!r} and {layout.views[1]!r} have no geometric op, "
                "whose action its states could follow"
            )
        self.layout, self.hinge, self.sigma = layout, hinge, sigma
        self.embed = mlp((feature_dim, hidden, hidden, 2 * points), last_norm="none")

    def forward(self, pair: Pair) -> Tensor:
        """See `Neighbour.forward`; the first of `pair.codes` leads to the second view."""
        states = self.embed(torch.cat(pair.features))
        with torch.autocast(states.device.type, enabled=False):
            state, seen = at_least_float32(states).unflatten(1, (-1, 2)).chunk(2)
            moved = moved_by(augspec.element(pair.codes[0], self.layout).to(state.dtype), state)
            near = self._energy(moved, seen).mean()
            everyone = distributed.gather(state)
            far = (self.hinge - self._energy(state[:, None], everyone)).relu()  # (N, W * N)
            first = distributed.rank() * len(state)
            own = torch.arange(len(state), device=far.device)
            others = torch.ones_like(far).index_put((own, first + own), far.new_zeros(()))
            return near + (far * others).sum(dim=1).mean() / max(1, len(everyone) - 1)

    def _energy(self, a: Tensor, b: Tensor) -> Tensor:
        """Of states `(..., K, 2)`, the last two dimensions gone."""
        return (a - b).square().sum(dim=-1).mean(dim=-1) / (2 * self.sigma**2)


def moved_by(maps: Tensor, points: Tensor) -> Tensor:
    """Points `(N, K, 2)` after projective maps `(N, 3, 3)` of the plane."""
    homogeneous = torch.cat([points, torch.ones_like(points[..., :1])], dim=-1) @ maps.mT
    return homogeneous[..., :2] / homogeneous[..., 2:]


class SENConfig(NeighbourOptions):
    """SEN (Park et al., ICML 2022); hinge and sigma are those of the released code."""

    reads: ClassVar[Reads] = "relative"
    name: Literal["sen"] = "sen"

    points: int = Field(default=16, ge=1)
    """Points that the features give; not from the paper, whose states are of other worlds."""
    hidden: int = Field(default=512, ge=1)
    """Width of the embedding network's two hidden layers."""
    hinge: float = Field(default=1.0, gt=0)
    """Energy from which on the states of two images are far enough apart."""
    sigma: float = Field(default=0.5, gt=0)
    """Scale of distances between points, in half sides of a view."""

    def build(self, feature_dim: int, given: Given) -> SEN:
        """See `NeighbourOptions.build`."""
        assert given.relative is not None
        options = self.model_dump(include={"points", "hidden", "hinge", "sigma"})
        return SEN(feature_dim, given.relative, **options)
