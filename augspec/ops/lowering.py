"""How an op says what it does in terms of the fused kernels, which run many ops in one go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from augspec.kernels.opcodes import ARGUMENTS, Filter, Opcode

if TYPE_CHECKING:
    from torch import Tensor

Fusable: TypeAlias = Literal["filter", "window", "chain"]
"""What an op is to the fused kernels: a `filter` resamples a box to a size; a `window` shows a part
of an image, whole pixels mirrored or not, with zeros around it; the rest are steps of a chain."""


@dataclass(frozen=True)
class Resample:
    """A filter or a window, for each sample.

    Attributes:
        how: the filter; `COPY` for a window.
        antialias: whether the filter widens where the box shrinks.
        box: top, bottom, left and right of the box as fractions of the image's sides, `(B,)`
            float64 each; None for the whole image.
        corner: the first row and column that the window shows, each a number or `(B,)`.
        flip: the axis that is mirrored, -1 or -2, where `flipped` `(B,)` bool is true.
        flipped: which samples are mirrored; None for none.
    """

    how: Filter = Filter.COPY
    antialias: bool = True
    box: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
    corner: tuple[Tensor | int, Tensor | int] = (0, 0)
    flip: int = -1
    flipped: Tensor | None = None


@dataclass(frozen=True)
class Steps:
    """M steps of a chain, for each sample.

    Attributes:
        codes: `(B, M)` int32, an `Opcode` each; `NOTHING` where a sample stays as it is.
        arguments: `(B, M, 2)` float32.
    """

    codes: Tensor
    arguments: Tensor


def one_step(opcode: Opcode, active: Tensor, *arguments: Tensor | float) -> Steps:
    """A step that the active samples take, `active` `(B,)` bool, with arguments `(B,)`."""
    import torch

    values = torch.zeros(len(active), 1, ARGUMENTS, device=active.device)
    for k, argument in enumerate(arguments):
        values[:, 0, k] = argument
    return Steps((active.int() * int(opcode)).unsqueeze(1), values)


def several_steps(parts: list[Steps]) -> Steps:
    """Steps one after the other."""
    import torch

    if len(parts) == 1:
        return parts[0]
    codes = torch.cat([part.codes for part in parts], dim=1)
    return Steps(codes, torch.cat([part.arguments for part in parts], dim=1))
