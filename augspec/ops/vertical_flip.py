"""Mirror the image top to bottom."""

from __future__ import annotations

from typing import ClassVar, Literal

from augspec.ops.switch import FlipOp


class VerticalFlip(FlipOp):
    """Mirror the image top to bottom, as `torchvision.transforms.v2.RandomVerticalFlip`."""

    op: Literal["vertical_flip"] = "vertical_flip"

    axis: ClassVar[int] = -2
