"""What is optimised: an encoder, an invariance method and, beside it, EquiMod or a neighbour."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from equimod.baselines import Neighbour, Pair, given
from equimod.config import RunConfig
from equimod.encoders import Encoder
from equimod.module import EquiMod
from equimod.optim import OptimizerConfig
from equimod.ssl import Method

if TYPE_CHECKING:
    from augspec import Plan


class Learner(nn.Module):
    """Encoder, method and equivariance module, with all losses in one forward pass.

    One forward pass, because `DistributedDataParallel` synchronises gradients once for each.

    Args:
        encoder: f.
        method: the invariance method, built for `encoder`.
        equimod: the equivariance module; None for the method alone.
        weight: lambda, of the equivariance loss, or the weight of the neighbour's.
        pair: predict the views from each other, not from the reference.
        layer: of the encoder, to which the equivariance module is attached.
        three: without an equivariance module, let the method compare the reference, too.
        neighbour: what stands beside the method instead of `equimod`.
        method_weight: the weight of the method's loss beside a neighbour's.
    """

    def __init__(
        self,
        encoder: Encoder,
        method: Method,
        equimod: EquiMod | None,
        weight: float = 1.0,
        *,
        pair: bool = False,
        layer: str = "last",
        three: bool = False,
        neighbour: Neighbour | None = None,
        method_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.method = method
        self.equimod = equimod
        self.weight = weight
        self.pair = pair
        self.layer = layer
        self.three = three
        self.neighbour = neighbour
        self.method_weight = method_weight

    @classmethod
    def from_config(cls, config: RunConfig, code_dim: int, plan: Plan | None = None) -> Learner:
        """Builds and initialises all modules; a pure function of the config and its seed.

        The encoder is initialised first, so that arms of one seed start from one encoder.

        Args:
            config: of the arm.
            code_dim: E, the width of the augmented views' codes.
            plan: of the augmentations; only a neighbour needs it.

        Raises:
            FormatError: the neighbour reads a format in which the views cannot be written.
            ValueError: the neighbour and the views or the method do not fit.
        """
        if config.neighbour is not None:
            return cls._with_neighbour(config, plan)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            encoder = config.encoder.build()
            method = config.method.build(encoder)
            if config.equimod is None:
                return cls(encoder, method, None, three=config.encoder_passes == 3)
            options = config.equimod
            equimod = options.build(encoder.width(options.layer), code_dim)
            pair = options.reference == "pair"
            return cls(encoder, method, equimod, options.weight, pair=pair, layer=options.layer)

    def build_optimizer(self, config: OptimizerConfig) -> Optimizer:
        """The optimiser of all trainable parameters, with the rates that the method wants fixed."""
        return config.build(self, self.method.fixed_rate_parameters())

    @property
    def needs_reference(self) -> bool:
        """Whether the losses are about the reference, too."""
        return self.three if self.equimod is None else not self.pair

    @property
    def attached(self) -> nn.Module:
        """Maps images `(N, 3, H, W)` to what the equivariance module sees of them `(N, C)`.

        The encoder itself, or the part of it up to the layer that the module is attached to.
        """
        return self.encoder.up_to(self.layer)

    @classmethod
    def _with_neighbour(cls, config: RunConfig, plan: Plan | None) -> Learner:
        options = config.neighbour
        if options is None or plan is None:
            raise ValueError("a neighbour needs its config and the plan of the augmentations")
        known = given(options.reads, plan, config.views.augmented)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            encoder = config.encoder.build()
            shown = options.shown_dim(encoder.feature_dim)
            method = config.method.build(Encoder(encoder.network, shown))
            neighbour = options.build(encoder.feature_dim, known)
        return cls(
            encoder,
            method,
            None,
            options.weight,
            neighbour=neighbour,
            method_weight=options.method_weight,
        )

    def forward(
        self,
        reference: Tensor | None,
        views: Sequence[Tensor],
        codes: Sequence[Tensor],
        crops: Sequence[Tensor] = (),
        extra: Sequence[Tensor] = (),
    ) -> dict[str, Tensor]:
        """The losses of one batch.

        Args:
            reference: x0 `(N, C, H, W)`; unused, and best None, unless `needs_reference`.
            views: x1 and x2, `(N, C, H, W)` each.
            codes: what the predictor, or a neighbour, reads of x1 and of x2, `(N, E)` each.
            crops: local crops, `(N, C, h, w)` each, for a method that takes them.
            extra: the views that a neighbour needs besides.

        Returns:
            Scalars: `loss` (their weighted sum, to be minimised), `invariance` and, with an
            equivariance module, `equivariance`, or with a neighbour, `neighbour`.
        """
        if self.neighbour is not None:
            return self._beside(self.neighbour, views, codes, extra)
        if self.equimod is None:
            invariance = self._alone(reference, views, crops)
            return {"loss": invariance, "invariance": invariance.detach()}
        h0 = None
        if self.pair:
            h, seen = self.features_and_seen(views)
        elif reference is None:
            raise ValueError("an equivariance module needs the reference view")
        else:
            (_, *h), (h0, *seen) = self.features_and_seen([reference, *views])
        invariance = self._invariance(views, h, crops)
        equivariance = self.equimod(h0, seen, codes).loss
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

    def _beside(
        self,
        neighbour: Neighbour,
        views: Sequence[Tensor],
        codes: Sequence[Tensor],
        extra: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        (x1, x2), (c1, c2) = views, codes
        h1, h2 = self.features([x1, x2])
        besides = neighbour.encoded(extra)
        invariance = self.method(views, neighbour.shown([h1, h2], codes))
        # in a pass of their own: batch norms see the views as they do without a neighbour
        more = tuple(self.features(besides)) if besides else ()
        own = neighbour(Pair((x1, x2), (h1, h2), (c1, c2), more))
        losses = {"loss": self.method_weight * invariance, "invariance": invariance.detach()}
        if own is not None:
            losses["loss"] = losses["loss"] + self.weight * own
            losses["neighbour"] = own.detach()
        return losses

    def features(self, images: Sequence[Tensor]) -> list[Tensor]:
        """Features `(N, F)` of several views `(N, C, H, W)`.

        Views of one size go through the encoder as one batch, as in EquiMod's released code: batch
        norms see their joint statistics.
        """
        if len({x.shape for x in images}) > 1:
            return [self.encoder(x) for x in images]
        return list(self.encoder(torch.cat(tuple(images))).chunk(len(images)))

    def features_and_seen(self, images: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Features `(N, F)` of several views, and what the equivariance module sees `(N, C)`.

        In one pass, as `features`; the same tensors where the module is attached to the last layer.
        """
        if self.layer == "last":
            features = self.features(images)
            return features, features
        if len({x.shape for x in images}) > 1:
            pairs = [self.encoder(x, self.layer) for x in images]
            return [h for h, _ in pairs], [seen for _, seen in pairs]
        h, seen = self.encoder(torch.cat(tuple(images)), self.layer)
        return list(h.chunk(len(images))), list(seen.chunk(len(images)))
