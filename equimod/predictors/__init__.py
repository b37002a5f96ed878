"""Predictors: from an image's embedding and an augmentation's code to the view's embedding.

| name | displacement | of the zero code | batch norm |
|---|---|---|---|
| `affine` | the same for every image | a constant | yes |
| `residual` | depends on the image | zero | no |
| `film` | depends on the image | zero | no |
| `low_rank` | depends on the image, linear in y0 | zero | no |

A new predictor is a subclass of `Predictor` and its entry in `PREDICTORS` (and in `PredictorName`,
for the schema).
"""

from __future__ import annotations

from typing import Literal

from equimod.predictors.affine import AffinePredictor
from equimod.predictors.base import Predictor
from equimod.predictors.film import FiLMPredictor
from equimod.predictors.low_rank import LowRankPredictor
from equimod.predictors.residual import ResidualPredictor

PredictorName = Literal["affine", "residual", "film", "low_rank"]

PREDICTORS: dict[PredictorName, type[Predictor]] = {
    "affine": AffinePredictor,
    "residual": ResidualPredictor,
    "film": FiLMPredictor,
    "low_rank": LowRankPredictor,
}

__all__ = [
    "PREDICTORS",
    "AffinePredictor",
    "FiLMPredictor",
    "LowRankPredictor",
    "Predictor",
    "PredictorName",
    "ResidualPredictor",
]
