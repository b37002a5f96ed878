"""Blur with a Gaussian."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from augspec.kernels.opcodes import Opcode
from augspec.language.codes import Code
from augspec.language.document import Fault
from augspec.language.values import Constant, Uniform, Value
from augspec.language.within import Within
from augspec.ops.contract import Incoming, Parameters, RandomOp, Size
from augspec.ops.effect import Effect
from augspec.ops.lowering import Fusable, Steps, one_step
from augspec.ops.parameter import NOT_NEGATIVE, Parameter
from augspec.ops.sizes import Sizes, shorter_side
from augspec.ops.windowed import odd, reach_faults

if TYPE_CHECKING:
    from torch import Tensor


class GaussianBlur(RandomOp):
    """Convolve with a Gaussian, edges mirrored, as `torchvision.transforms.v2.GaussianBlur`."""

    op: Literal["gaussian_blur"] = "gaussian_blur"

    kernel: int = Field(default=3, ge=1)
    """Side of the kernel in pixels, an odd number; 1 blurs nothing."""

    sigma: Annotated[Value, Within(0.0, open_low=True)] = Uniform(0.1, 2.0)
    """Standard deviation of the Gaussian in pixels of the image that reaches the op."""

    group: ClassVar[str] = "filters"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"kernel": 5, "sigma": [0.1, 2.0], "p": 0.5},
        {"sigma": 0.7},
    )
    draws: ClassVar[int] = 1
    not_invertible: ClassVar[str | None] = "fine detail is gone"
    effect: ClassVar[Effect] = Effect(places="averages", even=True)

    _odd = field_validator("kernel")(odd)
    fused: ClassVar[Fusable | None] = "chain"

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """Sigma as a fraction of the shorter side, so that its code is free of resolution."""
        if self.kernel == 1:
            return (Parameter("sigma", "shorter side", 0.0, 0.0, 0.0, value=Constant(0.0)),)
        high = self.sigma.high / min(size) if size is not None else None
        low = 0.0 if self.p < 1 or size is None else self.sigma.low / min(size)
        if self.p == 0:
            low = high = 0.0
        return (
            Parameter(
                "sigma",
                "shorter side",
                0.0,
                low if high is not None else None,
                high,
                value=self.sigma if size is not None else None,
                convert=lambda pixels: pixels / min(size),  # type: ignore[arg-type]
                possible=NOT_NEGATIVE,
            ),
        )

    def sample(self, u: Tensor, size: Sizes) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return self.canonical({"sigma": self.sigma.sample(u[:, 0]) / shorter_side(size, u)})

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """A kernel of one pixel shows no sigma."""
        return {"sigma": params["sigma"] * (self.kernel > 1)}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return params["sigma"] != 0

    def steps(self, params: Parameters, size: Size) -> Steps:
        """See `Op.steps`."""
        from augspec.kernels.blur import check_reach

        check_reach(size, self.kernel)
        sigma = params["sigma"] * min(size)
        return one_step(Opcode.GAUSSIAN_BLUR, self.active(params), sigma, self.kernel)

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.blur import gaussian_blur

        height, width = x.shape[-2:]
        return gaussian_blur(x, params["sigma"] * min(height, width), self.kernel)

    def faults(self, incoming: Incoming) -> list[Fault]:
        """A kernel that reaches past the mirrored edge, or a sigma that it cannot show."""
        faults = reach_faults(self.kernel, incoming)
        if self.sigma.high > self.kernel:
            # beyond this the weights at the kernel's edge are over 88 % (exp(-1/8)) of the
            # middle's: a box, whose width sigma no longer decides
            message = f"sigma up to {self.sigma.high:g} pixels is too large for a kernel of "
            message += f"{self.kernel}: at most {self.kernel}, or a kernel of {self._suiting()}"
            faults.append(Fault(("sigma",), message, Code.SIGMA_FOR_KERNEL))
        return faults

    def _suiting(self) -> int:
        """The smallest odd kernel that holds the widest Gaussian up to three sigma."""
        return 2 * math.ceil(3 * self.sigma.high) + 1
