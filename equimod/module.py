"""EquiMod itself: a module to put beside any invariance method, in anybody's training loop."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

import augspec
from augspec import DocumentModel, fault
from equimod.code_columns import OF_A_PAIR, CodesConfig
from equimod.equivariance_losses import LossName, equivariance_loss
from equimod.heads import mlp
from equimod.losses import Negatives
from equimod.predictors import PREDICTORS, PredictorName
from equimod.scaling import CodeScaling
from equimod.schedule import WeightSchedule, loss_weight

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


_ENCODING = ("codes", "encoding")

NOT_OF_THE_MODULE = {
    "weight",
    "weight_schedule",
    "weight_final",
    "weight_warmup_epochs",
    "codes",
    "reference",
    "control",
    "preset",
}
"""Fields of a config that say how the module is used, not how it is built."""


OFFICIAL: dict[str, Any] = {
    "hidden": 2048,
    "dim": 128,
    "loss": "contrastive",
    "temperature": 0.2,
    "predictor": "affine",
    "negatives": "all",
    "stop_gradient": False,
    "reference": "original",
    "codes": {"encoding": "equimod", "standardise": "spec"},
}
"""The heads, the loss and the codes of the released code (ADevillers/EquiMod, src/main.py); codes
by the moments that follow from the spec, of which its constants are estimates (for BYOL, wrong
ones: see docs/formats.md)."""


class EquiModConfig(DocumentModel):
    """The equivariance task, as EquiMod was published with it."""

    preset: Literal["official"] | None = None
    """`official`: whatever is not set here is as in the released code, its codes too, and not as by
    the defaults below, which read canonical codes. `equimod: official` is short for it."""
    weight: float = Field(default=1.0, ge=0)
    """Lambda, the weight of the equivariance loss beside the invariance loss; 0 is the control."""
    weight_schedule: WeightSchedule = "constant"
    """How lambda goes on after its warm-up: `constant` as published, or along a line or half a
    cosine to `weight_final`."""
    weight_final: float = Field(default=0.0, ge=0)
    """Lambda at the end of a `linear` or `cosine` schedule."""
    weight_warmup_epochs: float = Field(default=0.0, ge=0)
    """Epochs in which lambda first rises from 0 to `weight`."""
    hidden: int = Field(default=2048, ge=1)
    """Width of the two hidden layers of the equivariance projector."""
    dim: int = Field(default=128, ge=1)
    """Width of the embeddings in which the augmentation's displacement is predicted."""
    loss: LossName = "contrastive"
    """What pulls a prediction to its view: `contrastive` (Eq. 4 of the paper), `cosine` (2 - 2 cos,
    as BYOL's, arXiv 2006.07733; nothing of its own keeps embeddings apart), or `vicreg` (arXiv
    2105.04906, with the weights 25, 25 and 1)."""
    temperature: float = Field(default=0.2, gt=0)
    """Temperature of the contrastive loss."""
    predictor: PredictorName = "affine"
    """How an embedding and a code give the view's embedding: `affine` (the released code), by a
    displacement that is the same for every image; `residual`, `film` (arXiv 1709.07871) and
    `low_rank` (after SIE, arXiv 2302.10283), by one that depends on it."""
    predictor_hidden: int = Field(default=512, ge=1)
    """Width of the predictor's hidden layer; `affine` has none."""
    rank: int = Field(default=8, ge=1)
    """Rank of the map of the `low_rank` predictor."""
    negatives: Negatives = "all"
    """Of the contrastive loss: `all` (the released code) or `no_sibling` (Eq. 4 of the paper,
    without the other view)."""
    stop_gradient: bool = False
    """Keep the gradient of the equivariance loss from the views' embeddings."""
    codes: CodesConfig = CodesConfig()
    """What the predictor is told of an augmentation."""
    reference: Literal["original", "pair"] = "original"
    """From what views are predicted: the `original`, as published, or, as a `pair`, from each other
    by relative codes: two passes through the encoder instead of three."""
    control: Literal["none", "shuffled_codes", "zero_codes"] = "none"
    """What the predictor is refused, as a control: with `shuffled_codes` it is told, in training,
    what another image's augmentation was; with `zero_codes` it is never told anything."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, data: Any) -> Any:
        if data == "official":
            data = {"preset": "official"}
        if not isinstance(data, dict) or data.get("preset") != "official":
            return data
        codes = data.get("codes", {})
        if isinstance(codes, dict):
            codes = {**OFFICIAL["codes"], **codes}
        return {**OFFICIAL, **data, "codes": codes}

    @model_validator(mode="after")
    def _encoding_has_what_it_is_about(self) -> EquiModConfig:
        encoding = self.codes.encoding
        if self.reference == "pair" and encoding in ("equimod", "cassle"):
            message = f"{encoding!r} describes one view from the original, which `reference: pair` "
            raise fault(f"{message}does without: choose 'canonical' or 'augself'", *_ENCODING)
        if self.reference == "original" and encoding in OF_A_PAIR:
            message = f"{encoding!r} describes two augmented views: set `reference: pair`"
            raise fault(message, *_ENCODING)
        return self

    @property
    def scaled(self) -> bool:
        """Whether codes are scaled before they are read: by moments, or to begin at the identity.

        Canonical and relative codes begin there by themselves.
        """
        from_identity = PREDICTORS[self.predictor].from_identity
        return self.codes.standardise == "spec" or (
            from_identity and self.codes.encoding != "canonical"
        )

    @property
    def weight_changes(self) -> bool:
        """Whether lambda is not the same in all steps."""
        return self.weight_schedule != "constant" or self.weight_warmup_epochs > 0

    def weight_at(self, step: int, total_steps: int, epoch_steps: int) -> float:
        """Lambda in a step.

        Args:
            step: counted from 0.
            total_steps: the number of steps of the whole run.
            epoch_steps: the number of steps of an epoch.
        """
        warmup = round(self.weight_warmup_epochs * epoch_steps)
        ends = self.weight, self.weight_final
        return loss_weight(step, total_steps, warmup, *ends, self.weight_schedule)

    def build(self, feature_dim: int, code_dim: int) -> EquiMod:
        """The module for features `(N, feature_dim)` and codes `(N, code_dim)`."""
        return EquiMod(
            feature_dim, code_dim, scaled=self.scaled, **self.model_dump(exclude=NOT_OF_THE_MODULE)
        )
