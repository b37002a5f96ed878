"""Mirror the image left to right."""

from __future__ import annotations

from typing import ClassVar, Literal

from augspec.ops.switch import FlipOp


class HorizontalFlip(FlipOp):
    """Mirror the image left to right, as `torchvision.transforms.v2.RandomHorizontalFlip`."""

    op: Literal["horizontal_flip"] = "horizontal_flip"

    axis: ClassVar[int] = -1
