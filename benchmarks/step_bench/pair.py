"""EquiMod with `reference: pair`: the second view is predicted from the first.

A run cannot ask for it yet; this builds it from the public modules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

import augspec
from augspec import Pipeline, RelativeCode
from equimod.training.learner import Learner

Params = Mapping[str, Mapping[str, Tensor]]


class PairLearner(Learner):
    """A learner whose equivariance module needs no reference, and so no third encoder pass."""

    def forward(
        self, reference: Tensor | None, views: Sequence[Tensor], codes: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """The losses of one batch.

        Args:
            reference: not used.
            views: x1 and x2, `(N, C, H, W)` each.
            codes: one, `(N, R)`: the relative code from x1 to x2.

        Returns:
            As `Learner.forward`.

        Raises:
            ValueError: it was built without an equivariance module.
        """
        if self.equimod is None:
            raise ValueError("a pair's learner needs an equivariance module")
        first, second = self.features(views)
        invariance = self.method(views, [first, second])
        equivariance = self.equimod(first, [second], codes).loss
        return {
            "loss": invariance + self.weight * equivariance,
            "invariance": invariance.detach(),
            "equivariance": equivariance.detach(),
        }


def between(
    pipeline: Pipeline, params: Params, size: tuple[int, int], views: tuple[str, str]
) -> RelativeCode:
    """The relative codes from one view to the other, of decoded parameters.

    Args:
        pipeline: whose views these are.
        params: the parameters of both by view.
        size: height and width of the source images, pixels.
        views: the names of x1 and x2.
    """
    first, second = (params[name] for name in views)
    return augspec.relative(pipeline, first, second, size, views=views)


def relative_width(pipeline: Pipeline, size: tuple[int, int], views: tuple[str, str]) -> int:
    """R, the number of columns of those codes, as a draw for one image has them."""
    codes = pipeline.draw(torch.zeros(1, dtype=torch.int64), 0, size)
    params = pipeline.decode({name: codes[name] for name in views})
    return between(pipeline, params, size, views).layout.width
