"""What is optimised: an encoder, an invariance method and, beside it, EquiMod."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from equimod.config import RunConfig
from equimod.encoders import Encoder
from equimod.module import EquiMod
from equimod.ssl import Method


class Learner(nn.Module):
    """Encoder, method and equivariance module, with all losses in one forward pass.

    One forward pass, because `DistributedDataParallel` synchronises gradients once for each.

    Args:
        encoder: f.
        method: the invariance method, built for `encoder`.
        equimod: the equivariance module; None for the method alone.
        weight: lambda, of the equivariance loss.
        pair: predict the views from each other, not from the reference.
        three: without an equivariance module, let the method compare the reference, too.
    """

    def __init__(
        self,
        encoder: Encoder,
        method: Method,
        equimod: EquiMod | None,
        weight: float = 1.0,
        *,
        pair: bool = False,
        three: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.method = method
        self.equimod = equimod
        self.weight = weight
        self.pair = pair
        self.three = three

    @classmethod
    def from_config(cls, config: RunConfig, code_dim: int) -> Learner:
        """Builds and initialises all modules; a pure function of the config and its seed.

        The encoder is initialised first, so that arms of one seed start from one encoder.

        Args:
            config: of the arm.
            code_dim: E, the width of the augmented views' codes.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            encoder = config.encoder.build()
            method = config.method.build(encoder)
            if config.equimod is None:
                return cls(encoder, method, None, three=config.encoder_passes == 3)
            equimod = config.equimod.build(encoder.feature_dim, code_dim)
            pair = config.equimod.reference == "pair"
            return cls(encoder, method, equimod, config.equimod.weight, pair=pair)

    @property
    def needs_reference(self) -> bool:
        """Whether the losses are about the reference, too."""
        return self.three if self.equimod is None else not self.pair

    def forward(
        self,
        reference: Tensor | None,
        views: Sequence[Tensor],
        codes: Sequence[Tensor],
        crops: Sequence[Tensor] = (),
    ) -> dict[str, Tensor]:
        """The losses of one batch.

        Args:
            reference: x0 `(N, C, H, W)`; unused, and best None, unless `needs_reference`.
            views: x1 and x2, `(N, C, H, W)` each.
            codes: what the predictor reads to get to x1 and to x2, `(N, E)` each.
            crops: local crops, `(N, C, h, w)` each, for a method that takes them.

        Returns:
            Scalars: `loss` (their weighted sum, to be minimised), `invariance` and, with an
            equivariance module, `equivariance`.
        """
        if self.equimod is None:
            invariance = self._alone(reference, views, crops)
            return {"loss": invariance, "invariance": invariance.detach()}
        h0 = None
        if self.pair:
            h = self.features(views)
        elif reference is None:
            raise ValueError("an equivariance module needs the reference view")
        else:
            h0, *h = self.features([reference, *views])
        invariance = self._invariance(views, h, crops)
        equivariance = self.equimod(h0, h, codes).loss
        return {
            "loss": invariance + self.weight * equivariance,
            "invariance": invariance.detach(),
            "equivariance": equivariance.detach(),
        }

    def _alone(
        self, reference: Tensor | None, views: Sequence[Tensor], crops: Sequence[Tensor]
    ) -> Tensor:
        """The method's loss; the mean over all pairs where the reference is compared, too."""
        if not self.three:
            return self._invariance(views, self.features(views), crops)
        if reference is None:
            raise ValueError("a method with three encoder passes needs the reference view")
        images = [reference, *views]
        seen = zip(images, self.features(images), strict=True)
        losses = [self.method(*zip(a, b, strict=True)) for a, b in combinations(seen, 2)]
        return torch.stack(losses).mean()

    def _invariance(
        self, views: Sequence[Tensor], features: Sequence[Tensor], crops: Sequence[Tensor]
    ) -> Tensor:
        """The method's loss; crops go through the encoder as a batch of their own."""
        if crops:
            views, features = [*views, *crops], [*features, *self.features(crops)]
        loss: Tensor = self.method(views, features)
        return loss

    def features(self, images: Sequence[Tensor]) -> list[Tensor]:
        """Features `(N, F)` of several views `(N, C, H, W)`.

        Views of one size go through the encoder as one batch, as in EquiMod's released code: batch
        norms see their joint statistics.
        """
        if len({x.shape for x in images}) > 1:
            return [self.encoder(x) for x in images]
        return list(self.encoder(torch.cat(tuple(images))).chunk(len(images)))
