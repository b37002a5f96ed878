"""Lose what a JPEG file loses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import field_validator

from augspec.language.document import fault
from augspec.language.values import Choice, Constant, Uniform, Value
from augspec.language.within import Within
from augspec.ops.contract import Parameters, Size
from augspec.ops.effect import Effect
from augspec.ops.parameter import Parameter
from augspec.ops.switch import SwitchOp, rounded, sample_whole, whole

if TYPE_CHECKING:
    from torch import Tensor


class Jpeg(SwitchOp):
    """Compress and decompress, nearly as `torchvision.transforms.v2.JPEG`, but differentiable.

    With the tables of libjpeg, and chroma at half the resolution. Only the rounding of coefficients
    is softened, so that it has a gradient (Shin and Song, 2017; Reich et al., WACV 2024): for
    qualities of 30 to 95, views of photographs are 42 to 49 dB (PSNR) from those of libjpeg on
    average. An image with one channel is compressed as a grayscale file.
    """

    op: Literal["jpeg"] = "jpeg"

    quality: Annotated[Value, Within(1.0, 100.0)] = Uniform(30.0, 95.0)
    """Quality of the file, a whole number from 1 to 100. From a pair [low, high], each whole number
    is equally likely, both ends included, as in torchvision; draws of other distributions are
    rounded to the nearest."""

    group: ClassVar[str] = "noise"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"quality": 50, "p": 0.5},
        {"quality": [1, 100]},
    )
    draws: ClassVar[int] = 1
    effect: ClassVar[Effect] = Effect(negative=True)
    not_invertible: ClassVar[str | None] = "fine detail is gone"
    not_scalable: ClassVar[str | None] = "its blocks are of 8 pixels at every resolution"
    limits: ClassVar[str | None] = "a quality that is used must be at least 1"

    @field_validator("quality")
    @classmethod
    def _whole(cls, quality: Value) -> Value:
        named: tuple[float, ...] = ()
        if isinstance(quality, Constant | Uniform):
            named = (quality.low, quality.high)
        elif isinstance(quality, Choice):
            named = quality.choice
        for number in named:
            if number != round(number):
                raise fault(f"a quality is a whole number from 1 to 100, got {number:g}")
        return quality

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """`on`, and the quality, which is 0 where the op is off."""
        low = float(round(self.quality.low)) if self.p == 1 else 0.0
        high = float(round(self.quality.high)) if self.p > 0 else 0.0
        return (
            *super().parameters(size),
            Parameter(
                "quality",
                "quality",
                0.0,
                low,
                high,
                value=whole(self.quality),
                convert=rounded,
                possible=(0.0, 100.0),
            ),
        )

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {**super().sample(u, size), "quality": sample_whole(self.quality, u[:, 0])}

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """An unused quality is not part of the code."""
        import torch

        return {**params, "quality": torch.where(self.active(params), params["quality"], 0.0)}

    def nearest(self, params: Parameters) -> dict[str, Tensor]:
        """See `Op.nearest`."""
        import torch

        found = super().nearest(params)
        used = found["quality"].clamp_min(1.0)
        return {**found, "quality": torch.where(self.active(params), used, found["quality"])}

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.jpeg import jpeg
        from augspec.kernels.rows import where_rows

        return where_rows(self.active(params), jpeg(x, params["quality"]), x)
