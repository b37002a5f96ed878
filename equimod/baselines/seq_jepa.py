"""seq-JEPA's conditioning: from one view to the next by a difference (arXiv 2505.03176)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from equimod.baselines.base import Neighbour, NeighbourOptions, Pair
from equimod.baselines.inputs import Given, Reads
from equimod.heads import mlp
from equimod.losses import at_least_float32


class SeqJEPA(Neighbour):
    """Predicts a view's features from the other's and the difference of their codes.

    L = 1 - cos(u([h1, p(c2 - c1)]), stop(h2)), the mean over both directions: Ghaemi et al., with a
    sequence of two views (src/models.py, SeqJEPA_Transforms). What a sequence needs is left out:
    the transformer that gathers several views before the prediction. The target is the online
    encoder's, which is the released code without `--ema`; the invariance method beside it, which
    the paper has not, keeps features from collapse. The difference is of canonical codes, where the
    paper has nine columns of its own (see the `difference` format).

    Args:
        feature_dim: F, the width of the encoder's features.
        code_dim: E, the width of a code.
        hidden: the width of u's hidden layer.
        width: of p's output.

    Raises:
        ValueError: codes have no columns.
    """

    def __init__(
        self, feature_dim: int, code_dim: int, *, hidden: int = 1024, width: int = 128
    ) -> None:
        super().__init__()
        if code_dim < 1:
            raise ValueError("seq-jepa: the views draw nothing whose difference it could read")
        self.embed = mlp((code_dim, width), last_norm="plain")
        self.predictor = mlp((feature_dim + width, hidden, feature_dim), last_norm="none")

    def forward(self, pair: Pair) -> Tensor:
        """See `Neighbour.forward`."""
        (h1, h2), (c1, c2) = pair.features, pair.codes
        steps = self.embed(torch.cat([c2 - c1, c1 - c2]))
        joint = torch.cat([h1, h2])
        predicted = self.predictor(torch.cat([joint, steps.to(joint.dtype)], dim=1))
        with torch.autocast(predicted.device.type, enabled=False):
            targets = at_least_float32(torch.cat([h2, h1]).detach())
            alike = F.cosine_similarity(at_least_float32(predicted), targets, dim=1)
            return 1 - alike.mean()


class SeqJEPAConfig(NeighbourOptions):
    """seq-JEPA's conditioning (Ghaemi et al., NeurIPS 2025); widths as in its released script."""

    reads: ClassVar[Reads] = "codes"
    name: Literal["seq-jepa"] = "seq-jepa"

    hidden: int = Field(default=1024, ge=1)
    """Width of the predictor's hidden layer."""
    width: int = Field(default=128, ge=1)
    """Width of the embedding of a difference."""

    def build(self, feature_dim: int, given: Given) -> SeqJEPA:
        """See `NeighbourOptions.build`."""
        return SeqJEPA(feature_dim, len(given.columns), hidden=self.hidden, width=self.width)
