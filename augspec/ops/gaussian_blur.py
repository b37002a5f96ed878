"""Blur with a Gaussian."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from augspec.language.document import fault
from augspec.language.values import Uniform, Value
from augspec.language.within import Within
from augspec.ops.contract import Parameter, Parameters, RandomOp, Size

if TYPE_CHECKING:
    from torch import Tensor


class GaussianBlur(RandomOp):
    """Convolve with a Gaussian, edges mirrored, as `torchvision.transforms.v2.GaussianBlur`."""

    op: Literal["gaussian_blur"] = "gaussian_blur"

    kernel: int = Field(default=3, ge=1)
    """Side of the kernel in pixels, an odd number."""

    sigma: Annotated[Value, Within(0.0, open_low=True)] = Uniform(0.1, 2.0)
    """Standard deviation of the Gaussian in pixels of the image that reaches the op."""

    draws: ClassVar[int] = 1
    not_invertible: ClassVar[str | None] = "fine detail is gone"

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise fault(f"the kernel needs an odd side, such as {kernel + 1}, got {kernel}")
        return kernel

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """Sigma as a fraction of the shorter side, so that its code is free of resolution."""
        high = self.sigma.high / min(size) if size is not None else None
        low = 0.0 if self.p < 1 or size is None else self.sigma.low / min(size)
        if self.p == 0:
            low = high = 0.0
        return (Parameter("sigma", "shorter side", 0.0, low if high is not None else None, high),)

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {"sigma": self.sigma.sample(u[:, 0]) / min(size)}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return params["sigma"] != 0

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.blur import gaussian_blur

        height, width = x.shape[-2:]
        return gaussian_blur(x, params["sigma"] * min(height, width), self.kernel)

    def faults(self, size: Size | None) -> list[tuple[tuple[str, ...], str]]:
        """A kernel that reaches past the mirrored edge."""
        if size is None or self.kernel // 2 < min(size):
            return []
        most = 2 * min(size) - 1
        message = f"a kernel of {self.kernel} needs an image of more than "
        message += f"{self.kernel // 2} pixels a side, got {size[0]}x{size[1]}: at most {most}"
        return [(("kernel",), message)]
