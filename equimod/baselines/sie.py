"""SIE: features in two parts, invariant and equivariant (Garrido et al., arXiv 2302.10283)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from equimod.baselines.base import Neighbour, NeighbourOptions, Pair
from equimod.baselines.hyper import HyperLinear
from equimod.baselines.inputs import Given, Reads
from equimod.heads import mlp
from equimod.losses import at_least_float32
from equimod.redundancy import covariance_loss, variance_loss


class SIE(Neighbour):
    """The released `SIE` model: VICReg on both parts, and a hyper-network that moves the second.

    The first columns of the features are the invariant part and have a projector; the others have
    one as well, and from the first view's embedding of them a predictor that is linear in the
    relative code gives the second's. The variance of both whole embeddings and of the prediction
    is kept up, and the covariance of the whole embeddings down, so that no part repeats the other.

    The invariance method beside it is shown the invariant part only. Published, there is none
    (`method_weight` 0); with one, let `invariance` be 0, that there are not two.

    Our codes are zero for equal views, where the paper's quaternion is not; so our hyper-network
    has a constant matrix besides, which starts as the identity.

    Args:
        feature_dim: F, the width of the encoder's features.
        code_dim: R, the width of a relative code.
        equivariant: how many of the F columns are the equivariant part.
        hidden: the width of both projectors' hidden layers together; each has its share.
        dim: the width of the whole embedding.
        coefficients: of the terms `invariance`, `equivariance`, `variance` and `covariance`.

    Raises:
        ValueError: one part would be empty, or there is no relative code.
    """

    def __init__(
        self,
        feature_dim: int,
        code_dim: int,
        equivariant: int,
        *,
        hidden: int = 2048,
        dim: int = 2048,
        coefficients: dict[str, float],
    ) -> None:
        super().__init__()
        self.invariant = feature_dim - equivariant
        if min(equivariant, self.invariant, code_dim) < 1:
            raise ValueError(
                f"sie splits features in two parts, moved by a code: {feature_dim} features, "
                f"{equivariant} of them equivariant, and {code_dim} columns are too few"
            )
        self.coefficients = coefficients
        share = equivariant / feature_dim
        moved = round(dim * share)
        wide = round(hidden * share)
        self.projector = _expander(self.invariant, hidden - wide, dim - moved)
        self.equivariant_projector = _expander(equivariant, wide, moved)
        self.predictor = HyperLinear(moved, code_dim, start_at_identity=True)

    def shown(self, features: Sequence[Tensor], codes: Sequence[Tensor]) -> list[Tensor]:
        """See `Neighbour.shown`: the invariant part."""
        return [h[:, : self.invariant] for h in features]

    def forward(self, pair: Pair) -> Tensor:
        """See `Neighbour.forward`; the first of `pair.codes` leads to the second view."""
        a, b = self.projector(torch.cat(self.shown(pair.features, ()))).chunk(2)
        rest = torch.cat([h[:, self.invariant :] for h in pair.features])
        c, d = self.equivariant_projector(rest).chunk(2)
        predicted = self.predictor(c, pair.codes[0])
        with torch.autocast(predicted.device.type, enabled=False):
            a, b, c, d, predicted = map(at_least_float32, (a, b, c, d, predicted))
            first, second = torch.cat([a, c], dim=1), torch.cat([b, d], dim=1)
            kept_up = [variance_loss(x) for x in (first, second, predicted)]
            terms = {
                "invariance": F.mse_loss(a, b),
                "equivariance": F.mse_loss(predicted, d),
                "variance": torch.stack(kept_up).sum() / 2,
                "covariance": covariance_loss(first) + covariance_loss(second),
            }
            return torch.stack([self.coefficients[k] * term for k, term in terms.items()]).sum()


def _expander(fan_in: int, hidden: int, fan_out: int) -> nn.Sequential:
    network = mlp((fan_in, hidden, hidden, fan_out), last_norm="none")
    network[-1] = nn.Linear(hidden, fan_out, bias=False)
    return network


class SIEConfig(NeighbourOptions):
    """SIE (Garrido et al., ICML 2023); the defaults are those of the published command.

    That is the one in the README of facebookresearch/SIE: `--sim-coeff 10 --equi-factor 0.45
    --std-coeff 10 --cov-coeff 1 --mlp 2048-2048-2048 --equi 256`, of 512 features.
    """

    reads: ClassVar[Reads] = "relative"
    changes_features: ClassVar[bool] = True
    name: Literal["sie"] = "sie"

    method_weight: float = Field(default=0.0, ge=0)
    """Weight of the invariance method, which is shown the invariant part; 0, as published."""
    split: float = Field(default=0.5, gt=0, lt=1)
    """Share of the features that is the equivariant part."""
    hidden: int = Field(default=2048, ge=2)
    """Width of the projectors' hidden layers, shared between both parts."""
    dim: int = Field(default=2048, ge=2)
    """Width of the embeddings, shared between both parts."""
    invariance: float = Field(default=10.0, ge=0)
    """Weight of the squared distance of the invariant embeddings."""
    equivariance: float = Field(default=4.5, ge=0)
    """Weight of the squared error of the prediction; there, a factor 0.45 of `invariance`."""
    variance: float = Field(default=10.0, ge=0)
    """Weight of the variance terms."""
    covariance: float = Field(default=1.0, ge=0)
    """Weight of the covariance terms."""

    def shown_dim(self, feature_dim: int) -> int:
        """See `NeighbourOptions.shown_dim`."""
        return feature_dim - round(self.split * feature_dim)

    def build(self, feature_dim: int, given: Given) -> SIE:
        """See `NeighbourOptions.build`."""
        terms = ("invariance", "equivariance", "variance", "covariance")
        return SIE(
            feature_dim,
            len(given.columns),
            round(self.split * feature_dim),
            hidden=self.hidden,
            dim=self.dim,
            coefficients={term: getattr(self, term) for term in terms},
        )
