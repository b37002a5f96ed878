"""The contract of an invariance method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import Parameter

from augspec import DocumentModel


class Method(nn.Module, ABC):
    """An invariance method: heads, a loss over views and, where it has one, a target network.

    The caller owns the online encoder, runs it on the views and passes images and features. Laws:

    - A method that needs the online encoder gets it at construction and keeps it *unregistered*:
      it is never in the method's `parameters()` or `state_dict()`.
    - A target network is registered, so that it moves and is saved with the method; its parameters
      have `requires_grad=False`, by which optimiser and `DistributedDataParallel` leave them out.
    - `forward` gives the mean over this rank's rows, `equimod.distributed.gather` says how ranks
      share embeddings.
    """

    @abstractmethod
    def forward(self, images: Sequence[Tensor], features: Sequence[Tensor]) -> Tensor:
        """The invariance loss.

        Args:
            images: the two augmented views, each `(N, C, H, W)`, for a target network; then, for
                a method that takes them, local crops of any size.
            features: the online encoder's features of all of them, each `(N, F)`.

        Returns:
            The loss, a scalar.
        """

    def fixed_rate_parameters(self) -> Iterable[Parameter]:
        """The parameters whose learning rate stays what it was at its highest: none by default."""
        return ()

    def before_step(self, progress: float) -> None:
        """Called between a backward pass and the optimiser's step; may take gradients away.

        Args:
            progress: the share of all steps that are done, in [0, 1).
        """

    def after_step(self, progress: float) -> None:
        """Called after each step of the optimiser; moves a target network.

        Args:
            progress: the share of all steps that are done, in [0, 1].
        """


class MethodDocument(DocumentModel):
    """The base of every method's configuration."""

    takes_crops: ClassVar[bool] = False
    """Whether the method takes local crops beside its two views."""
    has_target: ClassVar[bool] = False
    """Whether a target network, with an encoder of its own, sees the views, too."""


def two(method: str, what: str, tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The two views' tensors.

    Raises:
        ValueError: if there are not two.
    """
    if len(tensors) != 2:
        raise ValueError(f"{method} compares 2 views, but got {what} of {len(tensors)}")
    return tensors[0], tensors[1]
