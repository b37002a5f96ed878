"""The contract of a neighbour: another method that makes features tell augmentations apart."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from augspec import DocumentModel
from equimod.baselines.inputs import Given, Reads


@dataclass(frozen=True)
class Pair:
    """What a neighbour gets of a batch, row for row of the same N images.

    Attributes:
        images: the two augmented views, `(N, C, H, W)` each.
        features: the online encoder's features of them, `(N, F)` each.
        codes: what the neighbour reads of their parameters, `(N, E)` each; see `Reads`.
        extra: the online encoder's features of what `Neighbour.encoded` asked for.
    """

    images: tuple[Tensor, Tensor]
    features: tuple[Tensor, Tensor]
    codes: tuple[Tensor, Tensor]
    extra: tuple[Tensor, ...] = ()


class Neighbour(nn.Module, ABC):
    """Heads and a loss beside an invariance method, or a change of what that method is shown.

    The caller owns the online encoder and passes features. Laws:

    - `forward` gives the mean over this rank's rows, and gathers those of other ranks where a row
      is compared with others: the average over ranks then is the loss of one process.
    - Nothing is drawn here. What is random comes with the views, whose draws depend on the seed,
      the epoch and the sample only.
    """

    def encoded(self, extra: Sequence[Tensor]) -> list[Tensor]:
        """The images that the encoder shall see besides, made of the views that were asked for.

        Args:
            extra: the views in `NeighbourOptions.extra_views`, `(N, C, h, w)` each.
        """
        return list(extra)

    def shown(self, features: Sequence[Tensor], codes: Sequence[Tensor]) -> list[Tensor]:
        """What the invariance method gets for the features of both views.

        Args:
            features: `(N, F)` each.
            codes: `(N, E)` each.

        Returns:
            `(N, F')` each, where F' is `NeighbourOptions.shown_dim`.
        """
        return list(features)

    @abstractmethod
    def forward(self, pair: Pair) -> Tensor | None:
        """The loss, a scalar; None for a neighbour that only changes what the method is shown."""


class NeighbourOptions(DocumentModel):
    """What all neighbours have in common."""

    reads: ClassVar[Reads] = "codes"
    """What it gets of the parameters of the views."""
    changes_features: ClassVar[bool] = False
    """Whether the invariance method is shown other features than the encoder's."""

    weight: float = Field(default=1.0, ge=0)
    """Weight of the neighbour's loss beside the method's."""
    method_weight: float = Field(default=1.0, ge=0)
    """Weight of the invariance method's loss; 0 leaves the neighbour alone."""

    @property
    def extra_views(self) -> tuple[str, ...]:
        """Views of the spec that it needs besides the two augmented ones."""
        return ()

    @property
    def shared(self) -> tuple[tuple[str, ...] | None, int]:
        """Views in which images in a row must share draws, and how many images.

        None stands for the two augmented views; there is no such demand where the number is 1.
        """
        return (), 1

    def shown_dim(self, feature_dim: int) -> int:
        """F', the width of the features that the invariance method is shown."""
        return feature_dim

    @abstractmethod
    def build(self, feature_dim: int, given: Given) -> Neighbour:
        """The neighbour for features `(N, feature_dim)` and the vectors that it reads.

        Raises:
            ValueError: the vectors lack what it needs; the message says what.
        """


def require_rows(name: str, rows: int, multiple: int) -> None:
    """Checks that a process has whole groups of images.

    Raises:
        ValueError: it has not.
    """
    if rows % multiple:
        raise ValueError(
            f"{name}: {multiple} images in a row belong together, but this process has {rows}; "
            f"choose a batch_size that gives each process a multiple of {multiple}"
        )
