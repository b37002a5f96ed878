"""Add Gaussian noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from augspec.encoding.codecs import Uncoded
from augspec.language.values import Constant, Uniform, Value
from augspec.language.within import Within
from augspec.ops.contract import Parameters, RandomOp, Size
from augspec.ops.parameter import NOT_NEGATIVE, Parameter
from augspec.ops.tonal import gated_range

if TYPE_CHECKING:
    from torch import Tensor


class GaussianNoise(RandomOp):
    """Add normal noise to each channel value, as `torchvision.transforms.v2.GaussianNoise`.

    Results are clamped to [0, 1], as with torchvision's `clip=True`.
    """

    op: Literal["gaussian_noise"] = "gaussian_noise"

    mean: Annotated[Value, Within(-1.0, 1.0)] = Constant(0.0)
    """Mean of the noise: what it adds to the intensity, on average."""

    sigma: Annotated[Value, Within(0.0)] = Uniform(0.01, 0.1)
    """Standard deviation of the noise, in intensities of [0, 1]; torchvision's default is 0.1."""

    group: ClassVar[str] = "noise"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"sigma": 0.1, "p": 0.5},
        {"mean": [-0.1, 0.1], "sigma": {"choice": [0, 0.05]}},
    )
    draws: ClassVar[int] = 3
    not_invertible: ClassVar[str | None] = "values clamped to [0, 1] are gone"
    not_scalable: ClassVar[str | None] = "its noise is drawn pixel by pixel"

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        """Mean and sigma; the seed of the noise is no part of the code."""
        mean = gated_range(self.mean.low, self.mean.high, 0.0, self.p)
        sigma = gated_range(self.sigma.low, self.sigma.high, 0.0, self.p)
        seed = Parameter("seed", "32-bit word", 0.0, 0.0, 2.0**32 - 1, Uncoded(), False)
        return (
            Parameter("mean", "intensity", 0.0, *mean, value=self.mean),
            Parameter("sigma", "intensity", 0.0, *sigma, value=self.sigma, possible=NOT_NEGATIVE),
            seed,
        )

    def sample(self, u: Tensor, size: Size) -> dict[str, Tensor]:
        """See `Op.sample`."""
        mean, sigma = self.mean.sample(u[:, 0]), self.sigma.sample(u[:, 1])
        return {"mean": mean, "sigma": sigma, "seed": (u[:, 2] * 2**32).floor()}

    def canonical(self, params: Parameters) -> dict[str, Tensor]:
        """Without a spread, there is no noise whose seed could be seen."""
        import torch

        return {**params, "seed": torch.where(params["sigma"] == 0, 0.0, params["seed"])}

    def active(self, params: Parameters) -> Tensor:
        """See `Op.active`."""
        return (params["mean"] != 0) | (params["sigma"] != 0)

    def render(self, x: Tensor, params: Parameters) -> Tensor:
        """See `Op.render`."""
        from augspec.kernels.noise import gaussian_noise

        return gaussian_noise(x, params["mean"], params["sigma"], params["seed"])
