"""Sharpen the image, or soften it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from augspec.language.codes import Code
from augspec.language.document import Fault
from augspec.language.values import Uniform
from augspec.ops.contract import Incoming, Parameters
from augspec.ops.effect import Effect
from augspec.ops.tonal import Factor, FactorOp

if TYPE_CHECKING:
    from torch import Tensor


class Sharpness(FactorOp):
    """Sharpen or soften, as `torchvision.transforms.v2.RandomAdjustSharpness`.

    The outermost pixels stay as they are. Results are clamped to [0, 1].
    """

    op: Literal["sharpness"] = "sharpness"

    factor: Factor = Uniform(0.2, 1.8)
    """Factor on the distance to a 3x3 smoothed image; 1 changes nothing, 0 is the smoothed image, 2
    sharpens. A single number s is [1 - s, 1 + s]."""

    group: ClassVar[str] = "filters"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"factor": 1.0, "p": 0.5},
        {"factor": {"choice": [0, 1, 2]}},
        {"factor": [4, 4]},
    )
    draws: ClassVar[int] = 1
    not_invertible: ClassVar[str | None] = "fine detail, or what was clamped to [0, 1], is gone"
    not_scalable: ClassVar[str | None] = "its window is of 3 pixels at every resolution"
    effect: ClassVar[Effect] = Effect(even=True, channelwise=True, negative=True)

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.tone import sharpness

        return sharpness(x, params["factor"])

    def faults(self, incoming: Incoming) -> list[Fault]:
        """An image that is all edge."""
        size = incoming.size
        if size is None or min(size) >= 3:
            return []
        message = "sharpness leaves the outermost pixels alone, so it needs an image of at least "
        message += f"3 pixels a side, got {size[0]}x{size[1]}"
        return [Fault(("op",), message, Code.IMAGE_SIZE)]
