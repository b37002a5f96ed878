"""E-SSL: predict by which quarter turn a crop was turned (Dangovski et al., arXiv 2111.00899)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from equimod.baselines.base import Neighbour, NeighbourOptions, Pair
from equimod.baselines.inputs import Given, Reads
from equimod.losses import at_least_float32

TURNS = 4


class ESSL(Neighbour):
    """Four-fold rotation prediction on a view of its own, seen in all four turns.

    The mean cross entropy over 4N turned crops. The head is the released CIFAR-10 code's for SimCLR
    (cifar10/main.py): three linear layers with layer norms, which keep images apart.

    Args:
        feature_dim: F, the width of the encoder's features.
        hidden: the width of the head's two hidden layers.
    """

    def __init__(self, feature_dim: int, *, hidden: int = 2048) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Linear(feature_dim, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Linear(hidden, TURNS),
        )

    def encoded(self, extra: Sequence[Tensor]) -> list[Tensor]:
        """The view turned by 0 to 3 quarters counter-clockwise: four of `(N, C, h, h)`.

        Raises:
            ValueError: the view is not square.
        """
        (view,) = extra
        if view.shape[-1] != view.shape[-2]:
            sides = f"{view.shape[-2]}x{view.shape[-1]}"
            raise ValueError(f"essl turns its view by quarters: it must be square, not {sides}")
        return [view.rot90(turn, (-2, -1)) for turn in range(TURNS)]

    def forward(self, pair: Pair) -> Tensor:
        """See `Neighbour.forward`."""
        logits = self.head(torch.cat(pair.extra))
        turns = torch.arange(TURNS, device=logits.device).repeat_interleave(len(pair.extra[0]))
        with torch.autocast(logits.device.type, enabled=False):
            return F.cross_entropy(at_least_float32(logits), turns)


class ESSLConfig(NeighbourOptions):
    """E-SSL (Dangovski et al., ICLR 2022); the defaults are those of the released CIFAR-10 code."""

    reads: ClassVar[Reads] = "nothing"
    name: Literal["essl"] = "essl"

    weight: float = Field(default=0.4, ge=0)
    """Weight of the rotation loss beside the method's."""
    view: str = "turned_0"
    """The view that is turned; it must be square, and draw no turn itself."""
    hidden: int = Field(default=2048, ge=1)
    """Width of the head's two hidden layers."""

    @property
    def extra_views(self) -> tuple[str, ...]:
        """See `NeighbourOptions.extra_views`."""
        return (self.view,)

    def build(self, feature_dim: int, given: Given) -> ESSL:
        """See `NeighbourOptions.build`."""
        return ESSL(feature_dim, hidden=self.hidden)
