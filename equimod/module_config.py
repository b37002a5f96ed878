"""EquiMod's options, as run documents name them, and what was published."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from augspec import DocumentModel, fault
from equimod.code_columns import OF_A_PAIR, CodesConfig
from equimod.encoders import LayerName
from equimod.equivariance_losses import LossName
from equimod.losses import Negatives
from equimod.module import EquiMod
from equimod.predictors import PREDICTORS, PredictorName
from equimod.schedule import WeightSchedule, loss_weight

_ENCODING = ("codes", "encoding")

NOT_OF_THE_MODULE = {
    "weight",
    "weight_schedule",
    "weight_final",
    "weight_warmup_epochs",
    "codes",
    "reference",
    "layer",
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
    "layer": "last",
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
    layer: LayerName = "last"
    """The layer of the encoder that EquiMod attaches to: the `last`, its features, as published, or
    an intermediate feature map: `layer1` to `layer4`, what the stages of a ResNet or the blocks of
    `small` give, averaged over all positions. The method and evaluation keep to the features."""
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
