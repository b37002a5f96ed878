"""Deform elastically."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from augspec.encoding.codecs import Linear, Motion, Uncoded
from augspec.language.codes import Code
from augspec.language.document import Fault
from augspec.language.values import Constant, Value
from augspec.language.within import Within
from augspec.ops.contract import Incoming, Parameters, RandomOp, Size
from augspec.ops.effect import Effect
from augspec.ops.geometry import resampling
from augspec.ops.parameter import NOT_NEGATIVE, Parameter

if TYPE_CHECKING:
    from torch import Tensor


class Elastic(RandomOp):
    """Move each pixel by a smooth random field, as `torchvision.transforms.v2.ElasticTransform`.

    The deformation of Simard, Steinkraus and Platt (ICDAR 2003): uniform noise in [-1, 1] for each
    pixel and direction, smoothed with a Gaussian. The noise itself comes from a seed that is no
    part of the code. The Gaussian's kernel reaches four times the largest `sigma` that can be
    drawn (torchvision: the sigma at hand), but never further than the image can be mirrored.
    """

    op: Literal["elastic"] = "elastic"

    alpha: Annotated[Value, Within(0.0)] = Constant(50.0)
    """Strength in pixels of the image that reaches the op; torchvision's 50 by default. Where the
    smoothed noise is 1, a pixel moves by half of it."""

    sigma: Annotated[Value, Within(0.0, open_low=True)] = Constant(5.0)
    """Standard deviation of the smoothing Gaussian, in the same pixels."""

    interpolation: Literal["nearest", "bilinear"] = "bilinear"
    """How pixels in between are found."""

    fill: float = Field(default=0.0, ge=0.0, le=1.0)
    """Intensity of what comes from outside the image: 0 is black, 1 is white."""

    group: ClassVar[str] = "geometry"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"p": 0.5, "alpha": [20.0, 60.0], "sigma": [2.0, 4.0], "fill": 0.5},
        {"alpha": 10, "sigma": 1.0, "interpolation": "nearest"},
        {"alpha": {"choice": [0, 30]}, "sigma": [1.0, 3.0]},
    )
    one_size: ClassVar[bool] = True
    draws: ClassVar[int] = 3
    not_invertible: ClassVar[str | None] = "resampling loses detail"
    not_scalable: ClassVar[str | None] = "its noise is drawn pixel by pixel"
    # a smaller alpha is less of the same field; a smaller sigma would make it a rougher one
    motion_of: ClassVar[Mapping[str, Motion]] = {"sigma": "holds"}

    @property
    def effect(self) -> Effect:  # type: ignore[override]
        """See `Op.effect`."""
        return resampling(self.interpolation, self.fill)

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """Both lengths as fractions of the shorter side, so that their code is free of resolution.

        Where alpha is 0, nothing moves, and sigma is 0 too.
        """
        acts = self.p > 0 and self.alpha.high > 0
        always = self.p == 1 and self.alpha.low > 0
        last = 2.0**32 - 1 if acts else 0.0
        return (
            self._parameter("alpha", self.alpha, size, acts, always),
            self._parameter("sigma", self.sigma, size, acts, always),
            Parameter("seed", "32-bit word", 0.0, 0.0, last, Uncoded(), differentiable=False),
        )

    def _parameter(
        self, name: str, value: Value, size: Size | None, acts: bool, always: bool
    ) -> Parameter:
        low, high = None, None
        if not acts:
            low = high = 0.0
        elif size is not None:
            low, high = (value.low if always else 0.0) / min(size), value.high / min(size)
        smooth = self.interpolation != "nearest"
        # where nothing moves, sigma is not what was drawn
        known = size is not None and (name == "alpha" or not self.alpha.can_be(0))
        return Parameter(
            name,
            "shorter side",
            0.0,
            low,
            high,
            Linear(),
            smooth,
            value if known else None,
            convert=lambda pixels: pixels / min(size),  # type: ignore[arg-type]
            possible=NOT_NEGATIVE,
        )

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        return {
            "alpha": self.alpha.sample(u[:, 0]) / min(size),
            "sigma": self.sigma.sample(u[:, 1]) / min(size),
            "seed": (u[:, 2] * 2**32).floor(),
        }

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """Where nothing moves, how smoothly is not part of the code."""
        import torch

        on = self.active(params)
        return {name: torch.where(on, value, 0.0) for name, value in params.items()}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return params["alpha"] > 0

    @property
    def kernel(self) -> int:
        """Side of the smoothing kernel in pixels, torchvision's for the largest sigma."""
        return int(8 * self.sigma.high + 1) // 2 * 2 + 1

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.displacement import displace, elastic_displacement
        from augspec.kernels.fields import uniform_field
        from augspec.kernels.rows import where_rows

        height, width = x.shape[-2:]
        alpha, sigma = params["alpha"], params["sigma"]
        if self.interpolation == "nearest":
            # which pixel is nearest is decided by the numbers that a float32 code carries
            alpha, sigma = alpha.float().double(), sigma.float().double()
        noise = 2 * uniform_field(params["seed"], (2, height, width), "elastic") - 1
        side = min(height, width)
        field = elastic_displacement(noise.to(x.dtype), alpha * side, sigma * side, self.kernel)
        view = displace(x, field, self.interpolation, self.fill)
        return where_rows(self.active(params), view, x)  # resampling at the identity would round

    def faults(self, incoming: Incoming) -> list[Fault]:
        """A sigma that the largest kernel for the image cannot show."""
        if incoming.size is None:
            return []
        most = min(self.kernel, 2 * min(incoming.size) - 1)
        if self.sigma.high <= most:
            return []
        # as for `gaussian_blur`: beyond this the kernel is a box, whatever sigma is
        message = f"sigma up to {self.sigma.high:g} pixels is too large for an image of "
        message += f"{incoming.size[0]}x{incoming.size[1]}: at most {most}"
        return [Fault(("sigma",), message, Code.SIGMA_FOR_KERNEL)]
