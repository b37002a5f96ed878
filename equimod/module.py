"""EquiMod itself: a module to put beside any invariance method, in anybody's training loop."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, get_args

import torch
from torch import Tensor, nn

import augspec
from equimod.equivariance_losses import LossName, equivariance_loss
from equimod.heads import mlp
from equimod.losses import Negatives
from equimod.predictors import PREDICTORS, PredictorName
from equimod.scaling import CodeScaling

if TYPE_CHECKING:
    from augspec import SlotMap


class EquiModOutput(NamedTuple):
    """What one call of `EquiMod` gives."""

    loss: Tensor
    """The equivariance loss, a scalar, not yet weighted by lambda."""
    reference: Tensor | None
    """y0 `(N, D)`, the embedding of the reference; None where there is none."""
    targets: tuple[Tensor, ...]
    """y_v `(N, D)`, the embedding of each view; detached under `stop_gradient`."""
    predictions: tuple[Tensor, ...]
    """yhat_v `(N, D)`, the predicted embedding of each view."""


class EquiMod(nn.Module):
    """Learns to predict, in an embedding space, the displacement that an augmentation causes.

    Devillers & Lefort, ICLR 2023, arXiv 2211.01244. The equivariance projector g' maps features to
    embeddings y; the predictor u maps the reference's embedding and the projected code of the
    augmentation to yhat_v = u(y0, p(c_v)); a loss, NT-Xent as published, pulls yhat_v to y_v. To
    predict two views from each other instead of from the original, leave out the reference and
    pass relative codes.

    Args:
        feature_dim: F, the width of the encoder's features.
        code_dim: E, the width of a code.
        hidden: the width of g''s two hidden layers.
        dim: D, the width of the embeddings.
        temperature: tau', the temperature of the loss.
        predictor: the name of the predictor, see `equimod.predictors`.
        predictor_hidden: the width of the predictor's hidden layer, if it has one.
        rank: the rank of the `low_rank` predictor's map.
        negatives: what the contrastive loss contrasts with, see
            `equimod.losses.equivariance_nt_xent`.
        stop_gradient: keep the gradient of the loss from the targets y_v.
        scaled: shift and scale codes by `scaling`, which is to be set, before they are read.

    Raises:
        ValueError: for a width below 1, or an unknown predictor or loss.
    """

    def __init__(
        self,
        feature_dim: int,
        code_dim: int,
        *,
        hidden: int = 2048,
        dim: int = 128,
        loss: LossName = "contrastive",
        temperature: float = 0.2,
        predictor: PredictorName = "affine",
        predictor_hidden: int = 512,
        rank: int = 8,
        negatives: Negatives = "all",
        stop_gradient: bool = False,
        scaled: bool = False,
    ) -> None:
        super().__init__()
        widths = {"feature_dim": feature_dim, "code_dim": code_dim, "hidden": hidden, "dim": dim}
        widths |= {"predictor_hidden": predictor_hidden, "rank": rank}
        for name, width in widths.items():
            if width < 1:
                raise ValueError(f"EquiMod: {name} must be at least 1, not {width}")
        known = {"predictor": (predictor, [*PREDICTORS]), "loss": (loss, get_args(LossName))}
        for what, (chosen, names) in known.items():
            if chosen not in names:
                hint = augspec.meant(str(chosen), names)
                raise ValueError(
                    f"EquiMod: unknown {what} {chosen!r}{hint}; known: {', '.join(names)}"
                )
        self.feature_dim = feature_dim
        self.code_dim = code_dim
        self.loss = loss
        self.temperature = temperature
        self.negatives = negatives
        self.stop_gradient = stop_gradient
        self.scaling = CodeScaling(code_dim) if scaled else None
        self.projector = mlp((feature_dim, hidden, hidden, dim), last_norm="plain")
        self.predictor = PREDICTORS[predictor](dim, code_dim, hidden=predictor_hidden, rank=rank)

    def forward(
        self, reference: Tensor | None, views: Sequence[Tensor], codes: Sequence[Tensor]
    ) -> EquiModOutput:
        """The equivariance loss of V views.

        Reference and views pass through the projector as one batch, and all codes through the
        predictor as one, as in the released code: the batch norms see their joint statistics.

        Args:
            reference: `(N, F)`, features of the images that the codes start from. None where two
                views are predicted from each other.
            views: V tensors `(N, F)`, features of the augmented images, row for row.
            codes: V tensors `(N, E)`, the code of each view's augmentation; without a reference, of
                the way to it from the other view.

        Returns:
            The loss and the embeddings it compares.

        Raises:
            ValueError: if numbers or shapes do not fit.
        """
        self._check(reference, views, codes)
        count = len(views)
        if reference is None:
            y0, targets = None, [*self.project(torch.cat(tuple(views))).chunk(count)]
            sources = torch.cat(targets[::-1])
        else:
            y0, *targets = self.project(torch.cat([reference, *views])).chunk(count + 1)
            sources = y0.repeat(count, 1)
        predicted = self.predict(sources, torch.cat(tuple(codes)))
        predictions = predicted.chunk(count)
        if self.stop_gradient:
            targets = [y.detach() for y in targets]
        loss = equivariance_loss(
            self.loss,
            targets,
            predictions,
            temperature=self.temperature,
            negatives=self.negatives,
        )
        return EquiModOutput(loss, y0, tuple(targets), predictions)

    def project(self, features: Tensor) -> Tensor:
        """Embeddings y = g'(h): `(N, F)` to `(N, D)`."""
        embedding: Tensor = self.projector(features)
        return embedding

    def predict(self, reference: Tensor, code: Tensor) -> Tensor:
        """Predicted embeddings yhat = u(y0, p(c)): `(N, D)` and `(N, E)` to `(N, D)`."""
        if self.scaling is not None:
            code = self.scaling(code)
        predicted: Tensor = self.predictor(reference, code)
        return predicted

    def reading(self, slots: SlotMap, what: str = "the EquiMod module") -> EquiMod:
        """A copy that reads codes of another layout, with the same predictions.

        Predictions from the same parameters are the same up to the order of floating-point sums.

        Args:
            slots: `augspec.slot_map` from the layout of its codes to the other.
            what: what this module is, for messages.

        Raises:
            LayoutMismatchError: it has no weights for such codes; the message lists what differs.
        """
        copied = copy.deepcopy(self)
        if copied.scaling is not None:
            copied.scaling.read(slots, what)
        else:
            copied.predictor.read(slots, what)
        copied.code_dim = slots.target.width
        return copied

    def _check(
        self, reference: Tensor | None, views: Sequence[Tensor], codes: Sequence[Tensor]
    ) -> None:
        if not views or len(views) != len(codes):
            raise ValueError(
                f"EquiMod needs a code for each of at least one view, not {len(views)} views and "
                f"{len(codes)} codes"
            )
        if reference is None:
            if len(views) != 2:
                raise ValueError(f"EquiMod predicts 2 views from each other, not {len(views)}")
            reference = views[0]
        features = {"reference": reference} | {f"views[{i}]": h for i, h in enumerate(views)}
        expected = dict.fromkeys(features, self.feature_dim)
        features |= {f"codes[{i}]": c for i, c in enumerate(codes)}
        expected |= {f"codes[{i}]": self.code_dim for i in range(len(codes))}
        for name, x in features.items():
            if x.shape != (len(reference), expected[name]):
                kind = "code_dim" if name.startswith("codes") else "feature_dim"
                raise ValueError(
                    f"EquiMod: {name} has shape {tuple(x.shape)}, expected "
                    f"{(len(reference), expected[name])}, as it was built with "
                    f"{kind}={expected[name]} and reference has {len(reference)} rows"
                )
